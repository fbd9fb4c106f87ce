import { closeSync, createReadStream, fstatSync, openSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { fileChunks } from '@hcsshim/ext4';
import { systemProblem } from '@hcsshim/program';

/** The archive, open for reading. */
export interface ArchiveInput extends Disposable {
  /** In bytes, where that is known. */
  size: number | undefined;
  /** Each piece is valid until the next is asked for. */
  chunks: AsyncIterable<Uint8Array>;
}

/**
 * Opens the archive; without `path` standard input. A file is read synchronously, which is the fastest. What the
 * writer at the other end of a pipe may keep us waiting for is not, so that `signal` ends the waiting.
 */
export async function openArchive(path: string | undefined, signal: AbortSignal): Promise<ArchiveInput> {
  const subject = path === undefined ? 'standard input' : `"${path}"`;
  try {
    const stats = path === undefined ? fstatSync(0) : statSync(path);
    if (stats.isFile()) {
      const fd = path === undefined ? 0 : openSync(path, 'r');
      const chunks = reading(fileChunks(fd), subject);
      return { size: stats.size, chunks, [Symbol.dispose]: () => closeSync(fd) };
    }
    // To open a named pipe is to wait for its writer.
    const stream =
      path === undefined
        ? process.stdin
        : createReadStream(path, { fd: await unless(signal, open(path, 'r')) });
    return {
      size: undefined,
      chunks: reading(waitingOnly(signal, stream), subject),
      [Symbol.dispose]: () => void stream.destroy(),
    };
  } catch (error) {
    throw cannotRead(subject, error);
  }
}

/** Says in errors what was read. */
async function* reading(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  subject: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source;
  } catch (error) {
    throw cannotRead(subject, error);
  }
}

function cannotRead(subject: string, cause: unknown): Error {
  return new Error(`Cannot read ${subject}: ${systemProblem(cause)}`, { cause });
}

async function* waitingOnly(
  signal: AbortSignal,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await unless(signal, chunks.next());
    if (next.done) return;
    yield next.value;
  }
}

/** Waits for a promise until the signal is aborted. */
async function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
