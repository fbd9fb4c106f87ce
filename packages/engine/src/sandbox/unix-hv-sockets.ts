import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import { HcsError } from '@hcsshim/hcs';

/** Connections that nobody has accepted yet; further ones are cut off. */
const mostWaitingConnections = 128;

/**
 * The hvsockets of a sandbox: unix sockets named by port, `hvsocket/<port>` where the host listens for the
 * guest, `guest/<port>` where the guest listens for the host.
 */
export class UnixHvSockets implements AsyncDisposable {
  readonly #directory: string;
  readonly #listeners = new Set<UnixHvListener>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(directory: string): Promise<UnixHvSockets> {
    for (const name of ['hvsocket', 'guest']) await mkdir(join(directory, name), { mode: 0o700 });
    return new UnixHvSockets(directory);
  }

  async listen(port: number): Promise<HvListener> {
    const listener = await UnixHvListener.listen(join(this.#directory, 'hvsocket', String(port)), port, () =>
      this.#listeners.delete(listener),
    );
    this.#listeners.add(listener);
    return listener;
  }

  async connect(port: number, { signal }: { signal?: AbortSignal }): Promise<Duplex> {
    const socket = connect({ path: join(this.#directory, 'guest', String(port)), allowHalfOpen: true });
    try {
      await once(socket, 'connect', signal ? { signal } : {});
      return socket;
    } catch (error) {
      socket.destroy();
      if (signal?.aborted) throw signal.reason;
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error;
      throw Object.assign(
        new Error(`Cannot connect to port ${port} in the sandbox: nothing listens there`, { cause: error }),
        { code: 'ECONNREFUSED' },
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener[Symbol.asyncDispose]()));
  }
}

class UnixHvListener implements HvListener {
  readonly port: number;
  readonly #server: Server;
  readonly #onClose: () => void;
  readonly #arrived: Socket[] = [];
  readonly #waiting = new Set<PromiseWithResolvers<Duplex>>();
  #closed = false;

  private constructor(port: number, onClose: () => void) {
    this.port = port;
    this.#onClose = onClose;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#arrive(socket),
    );
  }

  static async listen(path: string, port: number, onClose: () => void): Promise<UnixHvListener> {
    const listener = new UnixHvListener(port, onClose);
    try {
      const listening = once(listener.#server, 'listening');
      listener.#server.listen(path);
      await listening;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new HcsError({
        action: `Cannot listen on port ${port} for the sandbox`,
        problem: 'the port is taken, choose another',
        code: 'ERROR_ALREADY_EXISTS',
        cause: error,
      });
    }
    return listener;
  }

  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    signal?.throwIfAborted();
    const socket = this.#arrived.shift();
    if (socket) return socket;
    if (this.#closed) throw this.#closedError();
    const waiter = Promise.withResolvers<Duplex>();
    const abort = (): void => waiter.reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.add(waiter);
    try {
      return await waiter.promise;
    } finally {
      this.#waiting.delete(waiter);
      signal?.removeEventListener('abort', abort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    for (const waiter of this.#waiting) waiter.reject(this.#closedError());
    for (const socket of this.#arrived.splice(0)) socket.destroy();
    // Connections that were accepted live on: closing need not wait for them.
    this.#server.close();
  }

  #arrive(socket: Socket): void {
    // Until somebody has accepted it, nobody listens to its errors.
    socket.on('error', () => {});
    const [waiter] = this.#waiting;
    if (waiter) {
      this.#waiting.delete(waiter);
      waiter.resolve(socket);
    } else if (this.#arrived.length < mostWaitingConnections) {
      this.#arrived.push(socket);
    } else {
      socket.destroy();
    }
  }

  #closedError(): HcsError {
    return new HcsError({
      action: `Cannot accept a connection on port ${this.port}`,
      problem: 'the listener is closed',
      code: 'HCS_E_CONNECTION_CLOSED',
    });
  }
}
