import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { untilAborted } from '../until-aborted.ts';

/** In milliseconds. */
const retryDelay = 10;

/**
 * A lock by name between processes: a unix socket in the abstract name space, which exists once per network
 * namespace and is gone with its holder, however that dies. Those who wait are connected to it, and learn of
 * its end as the end of their connection.
 */
export class NamedLock implements AsyncDisposable {
  readonly #server: Server;
  readonly #waiters: Set<{ destroy(): unknown }>;

  private constructor(server: Server, waiters: Set<{ destroy(): unknown }>) {
    this.#server = server;
    this.#waiters = waiters;
  }

  /** Takes the lock, after as many other holders as it takes. */
  static async acquire(name: string, options: { signal?: AbortSignal | undefined }): Promise<NamedLock> {
    const address = `\0hcsshim-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
    for (;;) {
      options.signal?.throwIfAborted();
      const lock = await NamedLock.#tryAcquire(address);
      if (lock) return lock;
      await waitForHolder(address, options.signal);
    }
  }

  static async #tryAcquire(address: string): Promise<NamedLock | undefined> {
    const waiters = new Set<{ destroy(): unknown }>();
    const server = createServer((waiter) => {
      waiters.add(waiter);
      waiter.on('error', () => {});
      waiter.on('close', () => waiters.delete(waiter));
    });
    try {
      server.listen(address);
      await once(server, 'listening');
      return new NamedLock(server, waiters);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const waiter of this.#waiters) waiter.destroy();
    await closed;
  }
}

/** Resolves when the holder is gone, or was gone already. */
async function waitForHolder(address: string, signal: AbortSignal | undefined): Promise<void> {
  const socket = connect(address);
  const closed = new Promise<boolean>((resolve) => socket.on('close', resolve));
  // A refusal or a reset says the same as the end of the connection, but may come again and again.
  socket.on('error', () => {});
  socket.resume();
  try {
    const failed = await untilAborted(closed, signal);
    if (failed) await setTimeout(retryDelay);
  } finally {
    socket.destroy();
  }
}
