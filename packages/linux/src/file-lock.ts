import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { constants as system } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { lastErrno, libc, retryInterrupted } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// sys/file.h
const LOCK_EX = 2;
const LOCK_NB = 4;

/** In milliseconds. flock(2) can wait, but would let the whole event loop wait. */
const retryDelay = 20;

/**
 * A lock between processes: an exclusive flock(2) on a file of its own, which is made for it and removed with
 * it. Free when its holder has died, however that happened. Whoever cannot write to the directory cannot take it.
 */
export class FileLock implements Disposable {
  readonly #path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Takes the lock at `path`, after as many other holders as it takes; they are not served in turn. */
  static async acquire(path: string, options: { signal?: AbortSignal | undefined } = {}): Promise<FileLock> {
    for (;;) {
      options.signal?.throwIfAborted();
      const fd = tryLock(path);
      if (fd !== undefined) return new FileLock(path, fd);
      await setTimeout(retryDelay, undefined, options.signal ? { signal: options.signal } : {}).catch(
        () => {},
      );
    }
  }

  /** Removes the file and releases the lock. */
  [Symbol.dispose](): void {
    unlinkSync(this.#path);
    closeSync(this.#fd);
  }
}

function tryLock(path: string): number | undefined {
  const { O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  let locked = false;
  try {
    if (retryInterrupted(() => BigInt(libc().flock(fd, LOCK_EX | LOCK_NB))) !== 0n) {
      const errno = lastErrno();
      if (errno !== system.errno.EWOULDBLOCK) throw new SystemCallError('flock', errno, `lock "${path}"`);
    } else {
      // A holder that let go between the two calls has removed the file: then this lock keeps nobody out.
      locked = fstatSync(fd).ino === statSync(path, { throwIfNoEntry: false })?.ino;
    }
    return locked ? fd : undefined;
  } finally {
    if (!locked) closeSync(fd);
  }
}
