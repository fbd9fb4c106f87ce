import { constants } from 'node:os';
import { lastErrno, libc, retryInterrupted } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

/**
 * What there is to read from a non-blocking descriptor, as `read(2)`. `fs.readSync` does the same, but says
 * "nothing yet" by an exception, which costs more than the reading.
 *
 * @returns the length, 0 at the end, or undefined when there is nothing yet.
 */
export function readNow(fd: number, buffer: Uint8Array): number | undefined {
  const { read } = libc();
  return transferred('read', `read from descriptor ${fd}`, () => read(fd, buffer, BigInt(buffer.length)));
}

/**
 * Writes as much to a non-blocking descriptor as it takes, as `write(2)`.
 *
 * @param length Of `bytes`, from the start. @default all
 * @returns how many, or undefined when it takes none yet. Fails with EPIPE when nobody reads any more.
 */
export function writeNow(fd: number, bytes: Uint8Array, length = bytes.length): number | undefined {
  const { write } = libc();
  return transferred('write', `write to descriptor ${fd}`, () => write(fd, bytes, BigInt(length)));
}

function transferred(syscall: string, action: string, call: () => bigint): number | undefined {
  const length = retryInterrupted(call);
  if (length !== -1n) return Number(length);
  const errno = lastErrno();
  if (errno === constants.errno.EAGAIN) return undefined;
  throw new SystemCallError(syscall, errno, action);
}
