import { open } from 'node:fs/promises';

const chunkSize = 1 << 20;
/** Holes smaller than this cost more in extents than they save. */
const blockSize = 64 * 1024;
const zeros = Buffer.alloc(blockSize);

/**
 * Writes a guest's memory to a file, and leaves out what the guest never touched or has cleared: a sixth of
 * what it holds after a boot, which each clone then need neither copy nor hold.
 */
export async function saveMemory(
  source: string,
  destination: string,
  { signal }: { signal?: AbortSignal | undefined },
): Promise<void> {
  await using from = await open(source);
  await using to = await open(destination, 'wx', 0o600);
  const { size } = await from.stat();
  await to.truncate(size);
  const buffer = Buffer.allocUnsafeSlow(chunkSize);
  for (let position = 0; position < size; position += chunkSize) {
    signal?.throwIfAborted();
    const { bytesRead } = await from.read(buffer, 0, chunkSize, position);
    for (const { start, end } of filledRanges(buffer.subarray(0, bytesRead))) {
      await to.write(buffer, start, end - start, position + start);
    }
  }
}

/** The parts of a chunk that hold more than zeros, joined where they touch. */
function* filledRanges(chunk: Buffer): Generator<{ start: number; end: number }, void, undefined> {
  let start: number | undefined;
  for (let offset = 0; offset < chunk.length; offset += blockSize) {
    const block = chunk.subarray(offset, offset + blockSize);
    const filled = !block.equals(zeros.subarray(0, block.length));
    if (filled) start ??= offset;
    if (!filled && start !== undefined) {
      yield { start, end: offset };
      start = undefined;
    }
  }
  if (start !== undefined) yield { start, end: chunk.length };
}
