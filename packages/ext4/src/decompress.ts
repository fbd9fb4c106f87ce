import { pipeline, Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { Ext4Error } from './ext4-error.ts';

const gzipMagic = [0x1f, 0x8b];
const zstdMagic = [0x28, 0xb5, 0x2f, 0xfd];
const longestMagic = 4;
/** The default of 16 KiB would wait for the thread pool 64 times as often. */
const chunkSize = 1 << 20;

/** Pieces of an archive; each is valid until the next is asked for. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * What a gzip or zstd stream holds, told by its first bytes; anything else comes through as it is. Throws INVALID_ARCHIVE
 * when the stream is damaged.
 */
export async function* decompress(
  source: ByteSource,
  { signal }: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  await using input = new Lookahead(source);
  const head = await input.peek(longestMagic);
  if (begins(head, gzipMagic)) yield* through(input, createGunzip({ chunkSize }), signal);
  else if (begins(head, zstdMagic)) yield* through(input, createZstdDecompress({ chunkSize }), signal);
  else yield* input.chunks();
}

/** Whether a stream that begins with these bytes, four or more, is compressed in a way that `decompress` knows. */
export function isCompressed(head: Uint8Array): boolean {
  return begins(head, gzipMagic) || begins(head, zstdMagic);
}

function begins(head: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => head[index] === byte);
}

async function* through(
  input: Lookahead,
  decompressor: Transform,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  // Errors come out of the decompressor, which is read to its end.
  pipeline(Readable.from(copies(input.chunks())), decompressor, () => {});
  try {
    for await (const chunk of decompressor) {
      signal?.throwIfAborted();
      yield chunk as Uint8Array;
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!/^(Z_|ZSTD_|ERR_ZLIB)/.test(code ?? '')) throw cause;
    throw new Ext4Error('INVALID_ARCHIVE', `Cannot decompress the archive: ${message}`, { cause });
  }
}

/** The decompressor keeps a chunk while the source already uses its bytes for the next. */
async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** A source whose first bytes can be looked at. */
class Lookahead implements AsyncDisposable {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #head: Uint8Array = new Uint8Array();

  constructor(source: ByteSource) {
    this.#chunks =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** At least so many bytes, unless there are fewer. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#head.length < count) {
      const next = await this.#chunks.next();
      if (next.done) break;
      this.#head = this.#head.length === 0 ? next.value : Buffer.concat([this.#head, next.value]);
      if (this.#head.length < count) this.#head = Uint8Array.from(this.#head);
    }
    return this.#head;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#head.length > 0) yield this.#head;
    for (;;) {
      const next = await this.#chunks.next();
      if (next.done) return;
      yield next.value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }
}
