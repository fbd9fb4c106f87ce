import type { SeekableOutput } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';
import { blockSize } from './layout.ts';

const bufferSize = 1 << 20;
/** A piece of this size goes out by itself, which costs less than to copy it. */
const directSize = 64 << 10;

/** Writes an image from front to back in large pieces, up to a limit. */
export class ImageStream {
  readonly #output: SeekableOutput;
  readonly #limit: number;
  readonly #buffer = Buffer.allocUnsafeSlow(bufferSize);
  /** Where the buffer's first byte belongs. */
  #start: number;
  #filled = 0;

  constructor(output: SeekableOutput, start: number, limit: number) {
    this.#output = output;
    this.#start = start;
    this.#limit = limit;
  }

  get position(): number {
    return this.#start + this.#filled;
  }

  append(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.position + length > this.#limit) throw diskSizeExceeded(this.#limit);
    if (length > bufferSize - this.#filled || length >= directSize) this.#flush();
    if (length >= directSize) {
      this.#output.write(bytes, this.#start);
      this.#start += length;
    } else {
      this.#buffer.set(bytes, this.#filled);
      this.#filled += length;
    }
  }

  zeros(count: number): void {
    for (let left = count; left > 0; ) {
      if (this.position + left > this.#limit) throw diskSizeExceeded(this.#limit);
      if (this.#filled === bufferSize) this.#flush();
      const part = Math.min(left, bufferSize - this.#filled);
      this.#buffer.fill(0, this.#filled, this.#filled + part);
      this.#filled += part;
      left -= part;
    }
  }

  /** Bytes that are not written, and so read as zeros. */
  hole(count: number): void {
    if (this.position + count > this.#limit) throw diskSizeExceeded(this.#limit);
    this.#flush();
    this.#start += count;
  }

  /** Fills up to the end of a block, and returns the number of the next. */
  align(): number {
    this.zeros((blockSize - (this.position % blockSize)) % blockSize);
    return this.position / blockSize;
  }

  /** Writes what is left. */
  end(): void {
    this.#flush();
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.#output.write(this.#buffer.subarray(0, this.#filled), this.#start);
    this.#start += this.#filled;
    this.#filled = 0;
  }
}

export function diskSizeExceeded(limit: number): Ext4Error {
  return new Ext4Error(
    'DISK_SIZE_EXCEEDED',
    `Cannot write the image: it would be larger than ${limit} bytes, allow a larger maximumDiskSize`,
  );
}
