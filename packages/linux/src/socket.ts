import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { FdWatcher, waitUntilReady } from './fd-watcher.ts';
import { checked, closeFd, lastErrno, libc, retryInterrupted } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// bits/socket_type.h, asm-generic/socket.h
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;

const { EAGAIN, EINPROGRESS, ECONNABORTED } = constants.errno;

/** A new stream socket: non-blocking, close-on-exec. */
export function openStreamSocket(family: number, action: string): number {
  return checked(libc().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', action);
}

/**
 * Connects without blocking. A blocking connect() would be cut short by every SIGCHLD, and on vsock an
 * interrupted connect is lost.
 */
export async function connectSocket(
  family: number,
  address: Uint8Array,
  action: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<number> {
  signal?.throwIfAborted();
  const fd = openStreamSocket(family, action);
  try {
    while (libc().connect(fd, address, address.length) === -1) {
      const errno = lastErrno();
      if (errno === EINPROGRESS) {
        await waitUntilReady(fd, 'writable', { signal });
        const error = pendingError(fd, action);
        if (error !== 0) throw new SystemCallError('connect', error, action);
        break;
      }
      if (errno !== EAGAIN) throw new SystemCallError('connect', errno, action);
      // A unix socket whose listener's backlog is full: there is nothing to poll for.
      await delay(10, undefined, signal ? { signal } : {});
    }
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function pendingError(fd: number, action: string): number {
  const value = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  checked(libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length), 'getsockopt', action);
  return value.readInt32LE();
}

/** A listening socket whose connections are plain descriptors. */
export class SocketListener implements AsyncDisposable {
  readonly #fd: number;
  readonly #action: string;
  readonly #watcher: FdWatcher;
  readonly #waiting: PromiseWithResolvers<number>[] = [];
  #closed: Promise<void> | undefined;

  /** Takes over `fd`, which listens already. */
  constructor(fd: number, action: string) {
    this.#fd = fd;
    this.#action = action;
    this.#watcher = new FdWatcher(fd, () => this.#serve());
  }

  /** The next connection, non-blocking and close-on-exec. Rejects when the signal aborts or the listener closes. */
  accept({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<number> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#closed !== undefined) return Promise.reject(this.#closedError());
    const waiter = Promise.withResolvers<number>();
    this.#waiting.push(waiter);
    this.#watcher.start();
    if (signal === undefined) return waiter.promise;
    const abort = () => {
      const index = this.#waiting.indexOf(waiter);
      if (index !== -1) this.#waiting.splice(index, 1);
      if (this.#waiting.length === 0) this.#watcher.stop();
      waiter.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    return waiter.promise.finally(() => signal.removeEventListener('abort', abort));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(): void {
    const { accept4 } = libc();
    while (this.#waiting.length > 0) {
      const fd = retryInterrupted(() => accept4(this.#fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd !== -1) {
        this.#waiting.shift()?.resolve(fd);
        continue;
      }
      const errno = lastErrno();
      if (errno === EAGAIN) return;
      if (errno === ECONNABORTED) continue;
      this.#waiting.shift()?.reject(new SystemCallError('accept4', errno, this.#action));
    }
    this.#watcher.stop();
  }

  async #close(): Promise<void> {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#closedError());
    await this.#watcher.close();
    closeFd(this.#fd);
  }

  #closedError(): Error {
    return Object.assign(new Error(`Cannot ${this.#action}: the listener is closed`), { code: 'ECANCELED' });
  }
}
