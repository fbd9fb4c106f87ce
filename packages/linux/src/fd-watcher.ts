import { getSystemErrorName } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { ffi, libc, ownLibrary } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// uv.h
const UV_POLL = 8;
const UV_READABLE = 1;
const UV_WRITABLE = 2;
const UV_DISCONNECT = 4;

type State = 'open' | 'closing' | 'closed';

export interface Interest {
  readable?: boolean;
  writable?: boolean;
  /**
   * The other side has closed, or only its writing half: a read or write tells which. Level-triggered too.
   * For the writing end of a pipe: nobody has the reading end any more.
   */
  disconnect?: boolean;
}

/**
 * Tells when a file descriptor can be read or written, from Node's own event loop (`uv_poll_t`). Works for
 * what epoll works for: sockets, pipes, eventfds, pidfds, ttys, virtio ports; not for regular files.
 *
 * - Level-triggered: `onReady` is called again in each turn of the loop until the descriptor is drained or
 *   the watcher stopped. An error or hang-up shows as readable and writable: the next read or write tells it.
 * - libuv makes the descriptor non-blocking. It stays the caller's, to be closed at any time after `close()`
 *   was called.
 * - One watcher per descriptor at a time, and none on a descriptor that a Node stream owns.
 * - An exception in `onReady` is an ordinary uncaught exception.
 */
export class FdWatcher {
  readonly #handle: bigint;
  readonly #onReady: (readable: boolean, writable: boolean) => void;
  #state: State = 'open';
  #pending = 0;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(fd: number, onReady: (readable: boolean, writable: boolean) => void) {
    if (!isMainThread) {
      // With a live poll handle, ending a worker makes libuv call into JavaScript that may no longer run: SIGABRT.
      throw new Error(`Cannot watch descriptor ${fd} in a worker thread: watch it on the main thread`);
    }
    const { calloc, free, uv_handle_size, uv_poll_init } = libc();
    this.#onReady = onReady;
    this.#handle = calloc(1n, uv_handle_size(UV_POLL));
    const result = uv_poll_init(ffi().getCurrentEventLoop(), this.#handle, fd);
    if (result < 0) {
      free(this.#handle);
      throw new SystemCallError('uv_poll_init', -result, `watch descriptor ${fd}`);
    }
    watchers.set(this.#handle, this);
  }

  /** Starts watching, or changes what is watched. @default `readable` alone */
  start(interest: Interest = { readable: true }): void {
    if (this.#state !== 'open') throw new Error(`Cannot start a watcher that is ${this.#state}`);
    const events =
      (interest.readable ? UV_READABLE : 0) |
      (interest.writable ? UV_WRITABLE : 0) |
      (interest.disconnect ? UV_DISCONNECT : 0);
    if (events === 0) {
      this.stop();
      return;
    }
    const result = libc().uv_poll_start(this.#handle, events, callbacks().ready);
    if (result < 0) throw new Error(`Cannot start a watcher: ${getSystemErrorName(result)}`);
  }

  /** Stops watching; `onReady` is not called any more until the next start. */
  stop(): void {
    if (this.#state !== 'open') return;
    this.#pending = 0;
    libc().uv_poll_stop(this.#handle);
  }

  /** Keeps the process running while watching. The default. */
  ref(): void {
    if (this.#state === 'open') libc().uv_ref(this.#handle);
  }

  /** Lets the process end although it watches. */
  unref(): void {
    if (this.#state === 'open') libc().uv_unref(this.#handle);
  }

  /**
   * Stops for good. The descriptor may be closed at once, as libuv allows after `uv_close`; watched anew it can
   * be when this has resolved.
   */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.stop();
      this.#state = 'closing';
      this.#closed = Promise.withResolvers();
      libc().uv_close(this.#handle, callbacks().closed);
    }
    return this.#closed.promise;
  }

  /** Called by libuv. Must not throw: that would abort the process. */
  static ready(handle: bigint, status: number, events: number): void {
    const watcher = watchers.get(handle);
    if (watcher === undefined) return;
    const wasPending = watcher.#pending !== 0;
    watcher.#pending |= status < 0 ? UV_READABLE | UV_WRITABLE : events;
    // After a call from C neither nextTick nor promises run, so the work waits for a phase that Node itself enters.
    if (!wasPending && watcher.#pending !== 0) setImmediate(() => watcher.#deliver());
  }

  /** Called by libuv when the handle may be freed. */
  static closed(handle: bigint): void {
    const watcher = watchers.get(handle);
    watchers.delete(handle);
    libc().free(handle);
    if (watcher === undefined) return;
    watcher.#state = 'closed';
    setImmediate(() => watcher.#closed?.resolve());
  }

  #deliver(): void {
    const events = this.#pending;
    this.#pending = 0;
    if (this.#state !== 'open' || events === 0) return;
    this.#onReady((events & UV_READABLE) !== 0, (events & UV_WRITABLE) !== 0);
  }
}

const watchers = new Map<bigint, FdWatcher>();
let registered: { ready: bigint; closed: bigint } | undefined;

/** The two C callbacks that serve all watchers. */
function callbacks(): { ready: bigint; closed: bigint } {
  registered ??= {
    ready: ownLibrary().registerCallback(
      { return: 'void', arguments: ['pointer', 'i32', 'i32'] },
      (handle, status, events) => FdWatcher.ready(handle as bigint, status, events),
    ),
    closed: ownLibrary().registerCallback({ return: 'void', arguments: ['pointer'] }, (handle) =>
      FdWatcher.closed(handle as bigint),
    ),
  };
  return registered;
}

/** Resolves when a descriptor is ready once. */
export async function waitUntilReady(
  fd: number,
  interest: 'readable' | 'writable',
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const watcher = new FdWatcher(fd, () => resolve());
  const abort = () => reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    watcher.start({ [interest]: true });
    await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    await watcher.close();
  }
}
