import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import type { HvListener, HvSocket } from '@hcsshim/bridge';

/** `HV_GUID_LOOPBACK`. */
const loopbackId = 'e0e16197-dd56-4a10-9195-5ee7a155a838';

/** Ports on which somebody is already. */
export const LoopbackPort = {
  /** Sends back what it gets, and ends after it. */
  echo: 7,
  /** Takes each connection and resets it at the first byte. */
  reset: 8,
  /** Never answers. */
  silent: 9,
} as const;

/** Hvsockets of a partition to itself, as Windows has them: who connects to a port reaches who listens on it. */
export class LoopbackHvSocket implements HvSocket {
  readonly #listeners = new Map<number, (connection: Duplex) => void>([
    [LoopbackPort.echo, (connection) => connection.pipe(connection)],
  ]);

  async listen(vmId: string, port: number): Promise<HvListener> {
    checkId(vmId);
    if (this.#listeners.has(port)) throw systemError('EADDRINUSE');
    const arrived: Duplex[] = [];
    let wake = Promise.withResolvers<void>();
    this.#listeners.set(port, (connection) => {
      arrived.push(connection);
      wake.resolve();
    });
    return {
      port,
      accept: async ({ signal } = {}) => {
        signal?.addEventListener('abort', () => wake.reject(signal.reason), { once: true });
        for (;;) {
          const connection = arrived.shift();
          if (connection !== undefined) return connection;
          wake = Promise.withResolvers<void>();
          await wake.promise;
        }
      },
      [Symbol.asyncDispose]: async () => {
        this.#listeners.delete(port);
        for (const connection of arrived) connection.destroy();
      },
    };
  }

  async connect(
    vmId: string,
    port: number,
    { signal = new AbortController().signal }: { signal?: AbortSignal } = {},
  ): Promise<Duplex> {
    checkId(vmId);
    if (port === LoopbackPort.silent) {
      await once(signal, 'abort');
      throw signal.reason;
    }
    const [ours, theirs] = duplexPair();
    if (port === LoopbackPort.reset) {
      theirs.once('data', () => ours.destroy(systemError('ECONNRESET')));
      return ours;
    }
    const accept = this.#listeners.get(port);
    if (accept === undefined) throw systemError('ECONNREFUSED');
    theirs.on('error', () => {});
    accept(theirs);
    return ours;
  }
}

function checkId(vmId: string): void {
  if (vmId !== loopbackId) throw systemError('HCS_E_SYSTEM_NOT_FOUND');
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
