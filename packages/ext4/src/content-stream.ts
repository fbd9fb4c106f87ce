import type { Extent } from './extent.ts';
import type { ImageStream } from './image-stream.ts';
import { blockSize } from './layout.ts';

/** Puts the content of one file after another on the disk, and notes where. Holes take no place. */
export class ContentStream {
  readonly #stream: ImageStream;
  #size = 0;
  #position = 0;
  #extents: Extent[] = [];
  /** The extent that grows; its length is known when it ends. */
  #open: Extent | undefined;

  constructor(stream: ImageStream) {
    this.#stream = stream;
  }

  /** Bytes of the file so far. */
  get position(): number {
    return this.#position;
  }

  begin(size: number): void {
    this.#size = size;
    this.#position = 0;
    this.#extents = [];
    this.#open = undefined;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#openExtent();
    this.#stream.append(bytes);
    this.#position += bytes.length;
  }

  skip(bytes: number): void {
    const inBlock = this.#position % blockSize;
    const filling = inBlock === 0 ? 0 : Math.min(bytes, blockSize - inBlock);
    this.#zeros(filling);
    const left = bytes - filling;
    const rest = this.#position + left === this.#size ? 0 : left % blockSize;
    if (left > rest) {
      this.#closeExtent();
      this.#position += left - rest;
    }
    this.#zeros(rest);
  }

  /** Zeros that have their place on the disk, but are not written. Whole blocks, in a file that is written in blocks. */
  reserve(bytes: number): void {
    this.#openExtent();
    this.#stream.hole(bytes);
    this.#position += bytes;
  }

  /** Where the file is. */
  end(): Extent[] {
    this.#closeExtent();
    return this.#extents;
  }

  #zeros(count: number): void {
    if (count === 0) return;
    this.#openExtent();
    this.#stream.zeros(count);
    this.#position += count;
  }

  #openExtent(): void {
    this.#open ??= {
      logical: this.#position / blockSize,
      physical: this.#stream.position / blockSize,
      blocks: 0,
    };
  }

  #closeExtent(): void {
    const extent = this.#open;
    if (!extent) return;
    extent.blocks = this.#stream.align() - extent.physical;
    this.#extents.push(extent);
    this.#open = undefined;
  }
}
