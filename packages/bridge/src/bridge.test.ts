import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type GuestModification,
  type GuestNotification,
  HcsError,
  isHcsError,
  parseContainerConfig,
  parseGuestProcessParameters,
  utilityVmId,
} from '@hcsshim/schema';
import {
  BridgeServer,
  type BridgeServerOptions,
  GuestConnection,
  type GuestConnectionOptions,
  GuestFailure,
  type GuestHandlers,
  GuestPort,
} from './index.ts';

let pairs: Duplex[] = [];
afterEach(() => {
  for (const stream of pairs) stream.destroy();
  pairs = [];
});

interface Pair {
  host: GuestConnection;
  guest: BridgeServer;
  /** Settles when the guest's end has. */
  served: Promise<void>;
  hostStream: Duplex;
  guestStream: Duplex;
}

async function connect(
  handlers: GuestHandlers,
  options: { server?: BridgeServerOptions; host?: GuestConnectionOptions } = {},
): Promise<Pair> {
  const [hostStream, guestStream] = duplexPair();
  pairs.push(hostStream, guestStream);
  const guest = new BridgeServer(options.server);
  const served = guest.serve(guestStream, handlers);
  served.catch(() => {});
  const host = await GuestConnection.connect(hostStream, options.host);
  return { host, guest, served, hostStream, guestStream };
}

const exitOf = (id: string, type: GuestNotification['Type']): GuestNotification => ({
  ContainerId: id,
  Type: type,
  Operation: 'None',
  Result: 0,
});

const config = { SchemaVersion: { Major: 2, Minor: 1 }, OciBundlePath: '/run/gcs/c/a' };

test('the life of a container, from both ends', async () => {
  const told: string[] = [];
  const exit = Promise.withResolvers<number>();
  const { host, guest, served } = await connect({
    Create: async ({ ContainerId, ContainerConfig }) => {
      told.push(`create ${ContainerId} in ${parseContainerConfig(ContainerConfig).OciBundlePath}`);
    },
    Start: async ({ ContainerId }) => void told.push(`start ${ContainerId}`),
    ExecuteProcess: async ({ Settings }) => {
      const { CommandArgs } = parseGuestProcessParameters(Settings.ProcessParameters);
      told.push(`execute ${CommandArgs?.join(' ')} at port ${Settings.VsockStdioRelaySettings?.StdOut}`);
      return { ProcessId: 7 };
    },
    WaitForProcess: async () => ({ ExitCode: await exit.promise }),
    SignalProcess: async ({ ProcessId, Options }) => {
      told.push(`signal ${Options?.Signal} to ${ProcessId}`);
      exit.resolve(143);
    },
    ResizeConsole: async ({ Width, Height }) => void told.push(`resize to ${Width}x${Height}`),
    GetProperties: async ({ Query }) => {
      told.push(`properties ${Query}`);
      return { Properties: JSON.stringify({ ProcessList: [{ ProcessId: 7 }] }) };
    },
    ModifySettings: async ({ ContainerId, Request }) => {
      assert.equal(ContainerId, utilityVmId);
      told.push(`${Request.RequestType} ${Request.ResourceType} ${JSON.stringify(Request.Settings)}`);
    },
    DumpStacks: async () => ({ GuestStacks: 'main' }),
    DeleteContainerState: async ({ ContainerId }) => void told.push(`delete ${ContainerId}`),
  });

  assert.equal(host.guestOs, 'linux');
  assert.equal(host.capabilities.GuestDefinedCapabilities?.DumpStacksSupported, true);
  await host.modifySettings({
    RequestType: 'Add',
    ResourceType: 'MappedVirtualDisk',
    Settings: { MountPath: '/run/layers/0', Lun: 1, ReadOnly: true },
  });
  await host.createContainer('a', config);
  await host.startContainer('a');
  const port = host.allocatePort();
  const pid = await host.executeProcess('a', { CommandArgs: ['sleep', '9'] }, { StdOut: port });
  const code = host.waitForProcess('a', pid);
  await host.resizeConsole('a', pid, { width: 80, height: 24 });
  assert.deepEqual(await host.getProperties('a', ['ProcessList']), { ProcessList: [{ ProcessId: 7 }] });
  assert.equal(await host.dumpStacks(), 'main');
  await host.signalProcess('a', pid, 15);
  assert.equal(await code, 143);
  await guest.publish(exitOf('a', 'GracefulExit'));
  assert.equal((await host.waitForNotification('a')).Type, 'GracefulExit');
  assert.equal((await host.waitForNotification('a')).Type, 'GracefulExit', 'also long after');
  await host.deleteContainerState('a');

  assert.deepEqual(told, [
    'Add MappedVirtualDisk {"MountPath":"/run/layers/0","Lun":1,"ReadOnly":true}',
    'create a in /run/gcs/c/a',
    'start a',
    `execute sleep 9 at port ${GuestPort.firstStdio}`,
    'resize to 80x24',
    'properties {"PropertyTypes":["ProcessList"]}',
    'signal 15 to 7',
    'delete a',
  ]);
  await host[Symbol.asyncDispose]();
  assert.equal(await host.closed, undefined);
  await served;
});

test('the guest hands its errors to the host with code, words and place', async () => {
  const { host } = await connect({
    SignalProcess: async () => {
      throw new HcsError({
        action: 'Cannot signal process 7',
        problem: 'it has ended',
        code: 'ERROR_NOT_FOUND',
      });
    },
    DumpStacks: async () => {
      throw new TypeError('stacks are out');
    },
  });
  await assert.rejects(host.signalProcess('a', 7), (error: Error) => {
    assert.ok(isHcsError(error, 'ERROR_NOT_FOUND'));
    assert.match(
      error.message,
      /SignalProcess of "a" in the guest: guest RPC failure: Cannot signal process 7: it has ended, ERROR_NOT_FOUND \(0x80070490\)$/,
    );
    assert.ok(error.cause instanceof GuestFailure);
    const [record] = error.cause.records;
    assert.equal(record?.ModuleName, 'gcs');
    assert.match(record?.FileName ?? '', /bridge\.test\.ts$/);
    assert.ok(record && record.Line > 0 && record.Line < 10_000);
    return true;
  });
  await assert.rejects(
    host.dumpStacks(),
    (error: Error) => isHcsError(error, 'E_FAIL') && /stacks are out/.test(error.message),
  );
});

test('a code that upstream spells as NTSTATUS goes over the wire in that spelling', async () => {
  const { host } = await connect({
    Start: async () => {
      throw new HcsError({
        action: 'Cannot start',
        problem: 'no such container',
        code: 'HCS_E_SYSTEM_NOT_FOUND',
      });
    },
  });
  await assert.rejects(host.startContainer('a'), (error: Error) => {
    assert.ok(isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND'));
    assert.equal((error.cause as GuestFailure).result, 0xc037010e);
    return true;
  });
});

test('a message that the agent has no handler for is an unknown message', async () => {
  const { host } = await connect({});
  await assert.rejects(host.dumpStacks(), (error: Error) => isHcsError(error, 'HCS_E_UNKNOWN_MESSAGE'));
});

test('a request that does not fit its type names the field and never reaches the handler', async () => {
  const { host } = await connect({ ModifySettings: async () => assert.fail('reached') });
  const wrong = {
    RequestType: 'Add',
    ResourceType: 'MappedVirtualDisk',
    Settings: { Lun: 'secret' },
  } as unknown as GuestModification;
  await assert.rejects(host.modifySettings(wrong), (error: Error) => {
    assert.ok(isHcsError(error, 'HCS_E_INVALID_JSON'));
    assert.match(error.message, /"Request\.Settings\.Lun" must be a number, not a string/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test('a slow request does not hold up a later one', async () => {
  const slow = Promise.withResolvers<void>();
  const { host } = await connect({
    Create: () => slow.promise,
    DumpStacks: async () => ({ GuestStacks: 'quick' }),
  });
  const created = host.createContainer('a', config);
  assert.equal(await host.dumpStacks(), 'quick');
  slow.resolve();
  await created;
});

test('a wait is given up by its signal, and the late answer is ignored', async () => {
  const exit = Promise.withResolvers<number>();
  const { host } = await connect({
    WaitForProcess: async () => ({ ExitCode: await exit.promise }),
    DumpStacks: async () => ({ GuestStacks: 'alive' }),
  });
  const giveUp = new AbortController();
  const wait = host.waitForProcess('a', 7, { signal: giveUp.signal });
  giveUp.abort(new Error('enough'));
  await assert.rejects(wait, /enough/);
  exit.resolve(0);
  assert.equal(await host.dumpStacks(), 'alive');
});

test('a create that is under way is not given up, because the guest may have done it', async () => {
  const created = Promise.withResolvers<void>();
  const { host } = await connect({ Create: () => created.promise });
  const giveUp = new AbortController();
  const creating = host.createContainer('a', config, { signal: giveUp.signal });
  giveUp.abort();
  created.resolve();
  await creating;
  await assert.rejects(host.createContainer('b', config, { signal: giveUp.signal }), { name: 'AbortError' });
});

test('a guest that does not answer in time is held for dead', async () => {
  const { host } = await connect(
    { DumpStacks: () => new Promise(() => {}), WaitForProcess: () => new Promise(() => {}) },
    { host: { answerTimeout: 50 } },
  );
  const wait = host.waitForProcess('a', 7);
  wait.catch(() => {});
  await delay(100);
  const stacks = host.dumpStacks();
  // The timers alone would not keep the process alive.
  const awake = setInterval(() => {}, 20);
  try {
    await assert.rejects(stacks, (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
    await assert.rejects(wait, (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
    assert.ok(isHcsError(await host.closed, 'HCS_E_CONNECTION_TIMEOUT'));
  } finally {
    clearInterval(awake);
  }
});

test('a connection that is lost fails what is pending and what follows', async () => {
  const { host, guestStream } = await connect({ Create: async () => {} });
  await host.createContainer('a', config);
  const exit = host.waitForNotification('a');
  guestStream.end();
  await assert.rejects(exit, (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
  await assert.rejects(host.dumpStacks(), (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
  assert.equal(await host.closed, undefined, 'a clean end is no error');
});

test('shutting the guest down ends the connection without an answer', async () => {
  const { host, served } = await connect({
    ShutdownGraceful: (_, { quit }) => quit(),
    WaitForProcess: (_, { signal }) => delay(60_000, { ExitCode: 0 }, { signal }),
  });
  const wait = host.waitForProcess('a', 7);
  wait.catch(() => {});
  await host.shutdownGuest();
  await served;
  await assert.rejects(wait, (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
});

test('quitting lets a request at work send its answer', async () => {
  const started = Promise.withResolvers<void>();
  const { host, guest, served } = await connect({
    DumpStacks: async () => {
      started.resolve();
      await delay(20);
      return { GuestStacks: 'last words' };
    },
  });
  const stacks = host.dumpStacks();
  await started.promise;
  await guest.quit();
  assert.equal(await stacks, 'last words');
  await served;
});

test('quitting does not wait for ever', async () => {
  const started = Promise.withResolvers<void>();
  const { host, guest, served } = await connect(
    {
      DumpStacks: () => {
        started.resolve();
        return new Promise(() => {});
      },
    },
    { server: { drainTimeout: 20 } },
  );
  const stacks = host.dumpStacks();
  stacks.catch(() => {});
  await started.promise;
  await guest.quit();
  await served;
  await assert.rejects(stacks, (error: Error) => isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
});

test('a container that the guest no longer knows is shut down already', async () => {
  const { host } = await connect({
    ShutdownForced: async () => {
      throw new HcsError({ action: 'Cannot', problem: 'gone', code: 'HCS_E_SYSTEM_NOT_FOUND' });
    },
  });
  await host.shutdownContainer('a', 'forced');
});

test('the host creates and starts the VM where the guest asks for it, but not a warm one', async () => {
  const told: string[] = [];
  const handlers: GuestHandlers = {
    Create: async ({ ContainerId, ContainerConfig }) => void told.push(`${ContainerId} ${ContainerConfig}`),
    Start: async ({ ContainerId }) => void told.push(ContainerId),
  };
  const server = { capabilities: { SendHostCreateMessage: true, SendHostStartMessage: true } };
  await connect(handlers, { server });
  assert.deepEqual(told, [`${utilityVmId} {"SystemType":"Container"}`, utilityVmId]);
  await connect(handlers, { server, host: { warm: true } });
  assert.equal(told.length, 2);
});

test('a response too large for a host of upstream becomes an error instead of the end', async () => {
  const { host } = await connect({ DumpStacks: async () => ({ GuestStacks: 'x'.repeat(70_000) }) });
  await assert.rejects(host.dumpStacks(), /frame holds 65536/);
  await assert.rejects(host.dumpStacks(), (error: Error) => isHcsError(error, 'HCS_E_PROTOCOL_ERROR'));
});

test('a request far larger than a host takes reaches the guest', async () => {
  const { host } = await connect({
    Create: async ({ ContainerConfig }) =>
      assert.equal(parseContainerConfig(ContainerConfig).OciBundlePath?.length, 300_000),
  });
  await host.createContainer('a', { ...config, OciBundlePath: 'x'.repeat(300_000) });
});

test('more requests at once than allowed are refused, not queued', async () => {
  const { host } = await connect(
    { WaitForProcess: () => new Promise(() => {}), DumpStacks: async () => ({ GuestStacks: '' }) },
    { server: { concurrency: 2 } },
  );
  for (const pid of [1, 2]) host.waitForProcess('a', pid).catch(() => {});
  await assert.rejects(host.dumpStacks(), (error: Error) => isHcsError(error, 'HCS_E_INVALID_STATE'));
});

test('a container id that the connection has cannot be created again', async () => {
  const { host } = await connect({ Create: async () => {} });
  await host.createContainer('a', config);
  await assert.rejects(host.createContainer('a', config), (error: Error) =>
    isHcsError(error, 'HCS_E_SYSTEM_ALREADY_EXISTS'),
  );
});

test('a notification with no host connected is refused', async () => {
  await assert.rejects(new BridgeServer().publish(exitOf('a', 'ForcedExit')), (error: Error) =>
    isHcsError(error, 'HCS_E_CONNECTION_CLOSED'),
  );
});
