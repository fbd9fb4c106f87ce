import { constants as fsConstants, fstat, ftruncate, write } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { constants } from 'node:os';
import { promisify } from 'node:util';
import { lastErrno, libc } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// unistd.h, linux/fs.h
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FICLONE = 0x40049409n;

const chunkSize = 1 << 20;
const parallelism = 2;
/** What a file system says that cannot share blocks between these two files. */
const notCloneable = new Set([
  constants.errno.EOPNOTSUPP,
  constants.errno.ENOTTY,
  constants.errno.EXDEV,
  constants.errno.EINVAL,
]);

interface Extent {
  readonly start: number;
  readonly end: number;
}

const writeTo = promisify(write);
const truncate = promisify(ftruncate);
const stat = promisify(fstat);

/**
 * Copies a file and keeps its holes. Where the file system can share blocks (FICLONE) nothing is copied at all.
 *
 * @param destination A path (created, emptied), or the descriptor of an empty file such as a memfd, which stays open.
 * @returns the bytes copied, 0 for a clone.
 */
export async function copySparse(
  source: string,
  destination: string | number,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<number> {
  signal?.throwIfAborted();
  await using from = await open(source, 'r');
  if (typeof destination === 'number') return await copyInto(from, source, destination, signal);
  await using to = await open(
    destination,
    fsConstants.O_CREAT | fsConstants.O_TRUNC | fsConstants.O_RDWR,
    0o600,
  );
  return await copyInto(from, source, to.fd, signal);
}

async function copyInto(
  from: FileHandle,
  source: string,
  toFd: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (libc().ioctl(toFd, FICLONE, BigInt(from.fd)) === 0) return 0;
  const errno = lastErrno();
  if (!notCloneable.has(errno)) throw new SystemCallError('ioctl FICLONE', errno, `copy "${source}"`);
  const { size } = await stat(from.fd);
  await truncate(toFd, size);
  const chunks = dataChunks(from.fd, source, size);
  let copied = 0;
  const copyChunks = async () => {
    const buffer = Buffer.allocUnsafeSlow(chunkSize);
    for (const { start, end } of chunks) {
      signal?.throwIfAborted();
      const count = await copyRange(from, toFd, buffer, start, end);
      copied += count;
    }
  };
  await Promise.all(Array.from({ length: parallelism }, copyChunks));
  return copied;
}

async function copyRange(
  from: FileHandle,
  toFd: number,
  buffer: Buffer,
  start: number,
  end: number,
): Promise<number> {
  let position = start;
  while (position < end) {
    const { bytesRead } = await from.read(buffer, 0, end - position, position);
    if (bytesRead === 0) break;
    for (let written = 0; written < bytesRead; ) {
      written += (await writeTo(toFd, buffer, written, bytesRead - written, position + written)).bytesWritten;
    }
    position += bytesRead;
  }
  return position - start;
}

/** The parts of a file that hold data, in pieces of at most a chunk. Several readers may share the generator. */
function* dataChunks(fd: number, source: string, size: number): Generator<Extent, void, undefined> {
  let position = 0;
  while (position < size) {
    const start = seek(fd, source, position, SEEK_DATA);
    if (start === undefined) return;
    const end = seek(fd, source, start, SEEK_HOLE) ?? size;
    for (let at = start; at < end; at += chunkSize) {
      yield { start: at, end: Math.min(at + chunkSize, end) };
    }
    position = end;
  }
}

/** Undefined when only a hole follows (ENXIO). */
function seek(fd: number, source: string, position: number, whence: number): number | undefined {
  const result = libc().lseek(fd, BigInt(position), whence);
  if (result !== -1n) return Number(result);
  const errno = lastErrno();
  if (errno === constants.errno.ENXIO) return undefined;
  throw new SystemCallError('lseek', errno, `find the data of "${source}"`);
}
