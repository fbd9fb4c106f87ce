import { checked, closeFd, libc } from './libc.ts';

// fcntl.h, linux/fcntl.h
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;

/** Both ends are blocking and close-on-exec. */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/**
 * A new pipe.
 *
 * @param options.capacity Bytes it holds before a writer waits; the kernel rounds up to a power of two. Above
 * `/proc/sys/fs/pipe-max-size` (1 MiB) it takes CAP_SYS_RESOURCE. @default 64 KiB, the kernel's
 */
export function openPipe({ capacity }: { capacity?: number } = {}): Pipe {
  const ends = new Int32Array(2);
  checked(libc().pipe2(ends, O_CLOEXEC), 'pipe2', 'open a pipe');
  const [readFd, writeFd] = ends as unknown as [number, number];
  try {
    if (capacity !== undefined) {
      const action = `let a pipe hold ${capacity} bytes`;
      checked(libc().fcntl(writeFd, F_SETPIPE_SZ, BigInt(capacity)), 'fcntl F_SETPIPE_SZ', action);
    }
    return { readFd, writeFd };
  } catch (error) {
    closeFd(readFd);
    closeFd(writeFd);
    throw error;
  }
}
