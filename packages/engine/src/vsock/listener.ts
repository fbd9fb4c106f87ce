import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import { keepQuietUntilTaken } from './connection.ts';

/** Connections that wait to be accepted; the guest is refused beyond. */
const backlogLimit = 128;

/** A port of the host on which the guest may connect. */
export class VsockListener implements HvListener {
  readonly port: number;
  readonly #onClose: () => void;
  readonly #backlog: Duplex[] = [];
  readonly #waiting: PromiseWithResolvers<Duplex>[] = [];
  #closed = false;

  constructor(port: number, onClose: () => void) {
    this.port = port;
    this.#onClose = onClose;
  }

  /** Whether one more connection has room. */
  get hasRoom(): boolean {
    return !this.#closed && this.#backlog.length < backlogLimit;
  }

  /** A connection has arrived. */
  offer(connection: Duplex): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      keepQuietUntilTaken(connection);
      waiter.resolve(connection);
      return;
    }
    // One that ends before it was accepted is nobody's business.
    connection.on('error', forgetError);
    this.#backlog.push(connection);
    connection.once('close', () => {
      const index = this.#backlog.indexOf(connection);
      if (index !== -1) this.#backlog.splice(index, 1);
    });
  }

  accept({ signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed) return Promise.reject(this.#closedError());
    const connection = this.#backlog.shift();
    if (connection !== undefined) {
      keepQuietUntilTaken(connection);
      connection.off('error', forgetError);
      return Promise.resolve(connection);
    }
    const waiter = Promise.withResolvers<Duplex>();
    this.#waiting.push(waiter);
    if (signal === undefined) return waiter.promise;
    const abort = () => {
      const index = this.#waiting.indexOf(waiter);
      if (index !== -1) this.#waiting.splice(index, 1);
      waiter.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    return waiter.promise.finally(() => signal.removeEventListener('abort', abort));
  }

  /** Connections that were accepted live on; those that wait are reset. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    for (const connection of this.#backlog.splice(0)) connection.destroy();
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#closedError());
  }

  #closedError(): Error {
    const message = `Cannot accept a connection on vsock port ${this.port}: the listener is closed`;
    return Object.assign(new Error(message), { code: 'ECANCELED' });
  }
}

function forgetError(): void {}
