import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FileInput, type SeekableInput } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';

/*
 * The lowest level of a dm-verity tree is nearly all of the work: each level above has one hash for 128 below. A large
 * file is divided into ranges, which threads take one after the other:
 *
 *   data     | range 0   | range 1   | range 2   | range 3   | ...
 *   thread   | first     | second    | second    | first     | whichever is free
 *   digests  | in the order of the data, whichever is ready first
 */

export const verityBlockSize = 4096;
export const digestSize = 32;

export interface DigestOptions {
  /**
   * Threads that hash a `FileInput` of 128 MiB or more, at most 8; with 1 no thread is started.
   * @default as many as there are cores
   */
  workers?: number;
  signal?: AbortSignal | undefined;
}

/** Two threads need as long to start as they save with 80 MiB. */
const leastForWorkers = 128 << 20;
const mostWorkers = 8;
/** What is hashed before others have their turn, and what a thread is given at once. */
const rangeSize = 4 << 20;
/** Ranges of each thread that can be under way; the second waits in the thread, so that this is never idle. */
const rangesPerWorker = 2;
/** For each thread, how many ranges the others can be ahead of one that is slow: their digests are kept. */
const rangesAhead = 8;

/**
 * SHA-256 of `salt` and each block of the first `dataSize` bytes of `data`, in order, many at once. `dataSize` is a
 * multiple of 4096. Memory is flat in it. Throws RangeError when the data is shorter.
 */
export async function* digestsOfBlocks(
  data: SeekableInput,
  dataSize: number,
  salt: Uint8Array,
  { workers = availableParallelism(), signal }: DigestOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!(Number.isInteger(workers) && workers >= 1)) {
    throw new Ext4Error(
      'INVALID_OPTION',
      `Cannot hash with ${workers} workers: give a whole number from 1 on`,
    );
  }
  signal?.throwIfAborted();
  if (data instanceof FileInput && workers > 1 && dataSize >= leastForWorkers) {
    yield* hashInWorkers(data.fd, dataSize, salt, Math.min(workers, mostWorkers), signal);
    return;
  }
  const hasher = createRangeHasher(salt, (into, offset) => data.read(into, offset));
  for (let offset = 0; offset < dataSize; offset += rangeSize) {
    signal?.throwIfAborted();
    yield hasher(offset, Math.min(rangeSize, dataSize - offset));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function* hashInWorkers(
  fd: number,
  dataSize: number,
  salt: Uint8Array,
  count: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const source = `(${serveRanges})(${createRangeHasher})`;
  const workers = Array.from(
    { length: count },
    () => new Worker(source, { eval: true, execArgv: [], workerData: { fd, salt } }),
  );
  const idle = Array.from({ length: rangesPerWorker }, () => workers).flat();
  const finished = new Map<number, Uint8Array>();
  let failure: { error: unknown } | undefined;
  let wake = (): void => {};
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake();
  };
  const abort = (): void => fail(signal?.reason);
  for (const worker of workers) {
    worker.on('message', ({ offset, digests }: RangeDigests) => {
      finished.set(offset, digests);
      idle.push(worker);
      wake();
    });
    worker.on('error', fail);
    worker.on('exit', (code) =>
      fail(new Ext4Error('INVALID_STATE', `Cannot hash the data: a worker ended with exit code ${code}`)),
    );
  }
  signal?.addEventListener('abort', abort);
  try {
    let handed = 0;
    for (let offset = 0; offset < dataSize; offset += rangeSize) {
      const end = Math.min(dataSize, offset + count * rangesAhead * rangeSize);
      for (;;) {
        for (; idle.length > 0 && handed < end; handed += rangeSize) {
          const length = Math.min(rangeSize, dataSize - handed);
          idle.shift()?.postMessage({ offset: handed, length } satisfies Range);
        }
        if (failure) throw failure.error;
        const digests = finished.get(offset);
        if (digests) {
          finished.delete(offset);
          yield digests;
          break;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

interface Range {
  offset: number;
  length: number;
}

interface RangeDigests {
  offset: number;
  digests: Uint8Array<ArrayBuffer>;
}

/*
 * A worker gets the source of the two functions below: a bundle has no file to load it from. So they use nothing that
 * is outside of them, and of the file its descriptor, which all threads of a process share.
 */

/** Hashes the ranges that it is sent, until it is terminated. */
function serveRanges(create: typeof createRangeHasher): void {
  const { readSync } = process.getBuiltinModule('node:fs');
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  const { fd, salt } = workerData as { fd: number; salt: Uint8Array };
  const hasher = create(salt, (into, offset) => {
    for (let done = 0; done < into.length; ) {
      const count = readSync(fd, into, done, into.length - done, offset + done);
      if (count === 0) {
        throw new RangeError(
          `Cannot read to byte ${offset + into.length}: the image ends at ${offset + done}`,
        );
      }
      done += count;
    }
  });
  parentPort?.on('message', ({ offset, length }: Range) => {
    const digests = hasher(offset, length);
    parentPort.postMessage({ offset, digests } satisfies RangeDigests, [digests.buffer]);
  });
}

/** Makes a function that gives the digests of all blocks from an offset on, one after the other. */
function createRangeHasher(
  salt: Uint8Array,
  read: (into: Uint8Array, offset: number) => void,
): (offset: number, length: number) => Uint8Array<ArrayBuffer> {
  const { hash } = process.getBuiltinModule('node:crypto');
  const blockSize = 4096;
  const digestLength = 32;
  const blocksAtOnce = 256;
  const bytes = Buffer.allocUnsafeSlow(salt.length + blocksAtOnce * blockSize);
  // Each block with room for the salt before it. This is made once: a view costs a tenth of a hash.
  const salted = Array.from(
    { length: blocksAtOnce },
    (_, index) => new Uint8Array(bytes.buffer, index * blockSize, salt.length + blockSize),
  );
  return (offset, length) => {
    const digests = Buffer.allocUnsafeSlow((length / blockSize) * digestLength);
    for (let done = 0; done < length; ) {
      const part = bytes.subarray(
        salt.length,
        salt.length + Math.min(length - done, blocksAtOnce * blockSize),
      );
      read(part, offset + done);
      let text = '';
      for (let index = 0; index < part.length / blockSize; index++) {
        // Over the end of the block before, which has had its turn.
        bytes.set(salt, index * blockSize);
        // As text of two bytes a character: a buffer for each digest would cost a third of the hash.
        text += hash('sha256', salted[index] as Uint8Array, 'utf16le');
      }
      digests.write(text, (done / blockSize) * digestLength, 'utf16le');
      done += part.length;
    }
    return digests;
  };
}
