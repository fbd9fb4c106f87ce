import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

const gzipMagic = [0x1f, 0x8b];
const zstdMagic = [0x28, 0xb5, 0x2f, 0xfd];

/** The content of a stream that may be compressed with gzip or zstd; found out from its first bytes. */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = source[Symbol.asyncIterator]();
  try {
    const head = await firstBytes(chunks, zstdMagic.length);
    const decoder = decoderFor(head);
    if (!decoder) {
      yield* continued(head, chunks);
      return;
    }
    const feeding = pipeline(continued(head, chunks), decoder);
    feeding.catch(() => {});
    yield* decoder;
    await feeding;
  } finally {
    await chunks.return?.();
  }
}

export function isCompressed(head: Uint8Array): boolean {
  return startsWith(head, gzipMagic) || startsWith(head, zstdMagic);
}

function decoderFor(
  head: Uint8Array,
): ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress> | undefined {
  if (startsWith(head, gzipMagic)) return createGunzip();
  if (startsWith(head, zstdMagic)) return createZstdDecompress();
  return undefined;
}

async function firstBytes(chunks: AsyncIterator<Uint8Array>, length: number): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array();
  while (head.length < length) {
    const { done, value } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* continued(
  head: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield head;
  for (let step = await chunks.next(); !step.done; step = await chunks.next()) yield step.value;
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}
