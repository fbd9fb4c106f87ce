/** Against a guest that behaves as upstream's agent does, where that differs from ours. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, duplexPair, type Writable } from 'node:stream';
import { afterEach, test } from 'node:test';
import { BridgeServer, GuestConnection, type GuestHandlers, type HvSocket } from '@hcsshim/bridge';
import { HcsError } from '@hcsshim/hcs';
import { type HResultName, utilityVmId } from '@hcsshim/schema';
import { GuestProcess, type GuestProcessPlace } from './guest-process.ts';

let owned = new AsyncDisposableStack();
afterEach(async () => {
  await owned.disposeAsync();
  owned = new AsyncDisposableStack();
});

/** Sockets of one VM in memory: who listens gets what the guest dials. */
class MemorySockets implements HvSocket {
  readonly #listeners = new Map<number, PromiseWithResolvers<Duplex>>();

  async listen(_vmId: string, port: number): Promise<Awaited<ReturnType<HvSocket['listen']>>> {
    const dialed = Promise.withResolvers<Duplex>();
    this.#listeners.set(port, dialed);
    return {
      port,
      accept: () => dialed.promise,
      [Symbol.asyncDispose]: async () => void this.#listeners.delete(port),
    };
  }

  async connect(): Promise<Duplex> {
    throw new Error('nobody listens in this guest');
  }

  /** What the guest does. */
  dial(port: number): Duplex {
    const [host, guest] = duplexPair();
    owned.defer(() => void host.destroy());
    owned.defer(() => void guest.destroy());
    this.#listeners.get(port)?.resolve(host);
    return guest;
  }
}

async function placeWith(
  containerId: string,
  handlers: (sockets: MemorySockets) => GuestHandlers,
): Promise<GuestProcessPlace> {
  const sockets = new MemorySockets();
  const [hostEnd, guestEnd] = duplexPair();
  const served = new BridgeServer().serve(guestEnd, handlers(sockets));
  const guest = await GuestConnection.connect(hostEnd);
  owned.defer(() => served);
  owned.use(guest);
  return { runtimeId: 'vm', sockets, guest, containerId };
}

test('the streams of a process are closed once they have been read, which the guest waits for', async () => {
  const exited = Promise.withResolvers<void>();
  const place = await placeWith('c', (sockets) => ({
    async ExecuteProcess({ Settings: { VsockStdioRelaySettings: ports = {} } }) {
      const [stdout, stderr] = [ports.StdOut, ports.StdErr].map((port) => sockets.dial(port ?? 0));
      for (const stream of [stdout, stderr]) stream?.resume().end('words');
      Promise.all([stdout, stderr].map((stream) => stream && once(stream, 'end'))).then(
        () => exited.resolve(),
        exited.reject,
      );
      return { ProcessId: 7 };
    },
    async WaitForProcess() {
      await exited.promise;
      return { ExitCode: 3 };
    },
  }));
  const process = await GuestProcess.start(place, {}, { stdout: true, stderr: true });
  // Neither a listener for data nor resume() closes a half-open stream, as iterating over it does.
  const words: string[] = [];
  process.stdout?.on('data', (chunk) => words.push(String(chunk)));
  process.stderr?.resume();
  assert.equal(await process.wait(), 3);
  assert.deepEqual(words, ['words']);
});

test('the input of a process is closed once the guest has closed it', async () => {
  const dialed = Promise.withResolvers<Duplex>();
  const place = await placeWith('c', (sockets) => ({
    async ExecuteProcess({ Settings: { VsockStdioRelaySettings: ports = {} } }) {
      dialed.resolve(sockets.dial(ports.StdIn ?? 0));
      return { ProcessId: 7 };
    },
    WaitForProcess: async () => ({ ExitCode: 0 }),
  }));
  const { stdin } = await GuestProcess.start(place, {}, { stdin: true });
  const guest = await dialed.promise;
  const closed = once(stdin as Writable, 'close');
  stdin?.write('words');
  assert.equal(String((await once(guest, 'data'))[0]), 'words');
  guest.end();
  await closed;
});

const refusals: [HResultName, containerId: string, gone: boolean][] = [
  ['ERROR_NOT_FOUND', 'c', true],
  ['HCS_E_SYSTEM_NOT_FOUND', 'c', true],
  ['ERROR_NOT_FOUND', utilityVmId, true],
  ['HCS_E_SYSTEM_NOT_FOUND', utilityVmId, false],
  ['E_FAIL', 'c', false],
];

for (const [code, containerId, gone] of refusals) {
  const place = containerId === utilityVmId ? 'the VM' : 'a container';
  test(`${code} to a signal means that a process of ${place} ${gone ? 'has ended' : 'was not signalled'}`, async () => {
    const process = await GuestProcess.start(
      await placeWith(containerId, () => ({
        ExecuteProcess: async () => ({ ProcessId: 7 }),
        WaitForProcess: async () => ({ ExitCode: 0 }),
        async SignalProcess() {
          throw new HcsError({ action: 'Cannot signal it', problem: 'the test says so', code });
        },
      })),
      {},
      {},
    );
    if (gone) assert.equal(await process.kill(15), false);
    else await assert.rejects(process.kill(15), { code });
  });
}
