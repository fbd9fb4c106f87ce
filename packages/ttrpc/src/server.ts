import type { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type { DescService } from '@bufbuild/protobuf';
import { TtrpcError } from './error.ts';
import { ServerConnection } from './server-connection.ts';
import { type ServiceImplementation, ServiceTable } from './service.ts';

export interface ServerOptions {
  /**
   * Milliseconds that a handler may leave its full stream of requests alone, and so keep its connection
   * stopped; then its call fails with ResourceExhausted.
   * @default 1000
   */
  stallTimeoutMs?: number;
  /** Handlers that may run at once for one connection; further calls fail with ResourceExhausted. @default 4096 */
  maxConcurrentCalls?: number;
}

/**
 * Serves services over any number of connections.
 *
 *     serving ──shutdown──► draining ──last call answered, signal──► closed
 *        └──────────────────────close──────────────────────────────────┘
 */
export class TtrpcServer implements AsyncDisposable {
  readonly #services = new ServiceTable();
  readonly #options: Required<ServerOptions>;
  readonly #connections = new Set<ServerConnection>();
  readonly #listeners = new Map<NetServer, (stream: Duplex) => void>();
  #state: 'serving' | 'draining' | 'closed' = 'serving';
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: ServerOptions = {}) {
    this.#options = {
      stallTimeoutMs: options.stallTimeoutMs ?? 1000,
      maxConcurrentCalls: options.maxConcurrentCalls ?? 4096,
    };
  }

  /**
   * Serves a service. What a handler throws reaches the client: a TtrpcError with its code, anything else as
   * Unknown with its message. Throws AlreadyExists for a service that is registered.
   */
  register<S extends DescService>(service: S, implementation: ServiceImplementation<S>): void {
    this.#services.add(service, implementation);
  }

  /** Serves one connection, which the server owns from here on. One that comes after the end is closed. */
  accept(stream: Duplex): void {
    if (this.#state !== 'serving') {
      stream.destroy();
      return;
    }
    const connection = new ServerConnection(stream, {
      services: this.#services,
      ...this.#options,
      done: () => this.#forget(connection),
    });
    this.#connections.add(connection);
  }

  /** Serves every connection that comes to a net.Server, which listens or will; it is closed with this server. */
  listen(netServer: NetServer): void {
    const accept = (stream: Duplex): void => this.accept(stream);
    this.#listeners.set(netServer, accept);
    netServer.on('connection', accept);
    if (this.#state !== 'serving') this.#closeListeners();
  }

  /**
   * Takes no more connections and calls (they fail with Unavailable), waits for the handlers that run, and
   * closes each connection once its answers have left. When the signal aborts first, it closes all at once
   * and rejects with Canceled, or with DeadlineExceeded for `AbortSignal.timeout()`.
   */
  async shutdown({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state === 'serving') this.#state = 'draining';
    this.#closeListeners();
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size > 0) {
      this.#idle ??= Promise.withResolvers();
      await this.#idleUnlessAborted(this.#idle.promise, signal);
    }
    this.#state = 'closed';
  }

  /** Closes all at once: calls that run are aborted, their answers dropped. Does not wait for their handlers. */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#closeListeners();
    for (const connection of this.#connections) connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #idleUnlessAborted(idle: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = (): void => {
      reject(TtrpcError.fromAbort(signal?.reason, 'Cannot wait for running calls'));
      void this.close();
    };
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([idle, aborted]);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#idle?.resolve();
  }

  #closeListeners(): void {
    for (const [netServer, accept] of this.#listeners) {
      netServer.off('connection', accept);
      if (netServer.listening) netServer.close();
    }
    this.#listeners.clear();
  }
}
