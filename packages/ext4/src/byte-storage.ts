import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';

/**
 * Where an image is written. Bytes that were never written must read as zero, as those of a new file do.
 * Synchronous, because an image is millions of small pieces and a promise for each costs more than the piece.
 */
export interface SeekableOutput {
  /** Takes all bytes. They are the caller's again when it returns. */
  write(bytes: Uint8Array, offset: number): void;
  /** Makes it `size` bytes long; what is not written stays zero. */
  setSize(size: number): void;
}

/** Where an image is read from. */
export interface SeekableInput {
  readonly size: number;
  /** Fills `into` from `offset` on; throws when there are not that many bytes. */
  read(into: Uint8Array, offset: number): void;
}

/** A file that is open for writing and was empty. The descriptor remains the caller's. */
export class FileOutput implements SeekableOutput {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    }
  }

  setSize(size: number): void {
    ftruncateSync(this.#fd, size);
  }
}

/** A file or block device that is open for reading. The descriptor remains the caller's. */
export class FileInput implements SeekableInput {
  readonly fd: number;
  readonly size: number;

  /** `size` is needed for a device, whose own the system does not tell. */
  constructor(fd: number, size: number = fstatSync(fd).size) {
    this.fd = fd;
    this.size = size;
  }

  read(into: Uint8Array, offset: number): void {
    for (let done = 0; done < into.length; ) {
      const count = readSync(this.fd, into, done, into.length - done, offset + done);
      if (count === 0) throw pastEnd(offset + into.length, offset + done);
      done += count;
    }
  }
}

/** An image in memory, to be written and to be read. Grows as needed. */
export class MemoryStorage implements SeekableOutput, SeekableInput {
  #bytes: Uint8Array;
  #size: number;

  constructor(content: Uint8Array = new Uint8Array()) {
    this.#bytes = content;
    this.#size = content.length;
  }

  get size(): number {
    return this.#size;
  }

  /** What is in it, without a copy; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length, 1 << 20));
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, offset);
    this.#size = Math.max(this.#size, end);
  }

  setSize(size: number): void {
    if (size > this.#bytes.length) this.write(new Uint8Array(1), size - 1);
    if (size < this.#size) this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }

  read(into: Uint8Array, offset: number): void {
    if (offset + into.length > this.#size) throw pastEnd(offset + into.length, this.#size);
    into.set(this.#bytes.subarray(offset, offset + into.length));
  }
}

function pastEnd(wanted: number, size: number): RangeError {
  return new RangeError(`Cannot read to byte ${wanted}: the image ends at ${size}`);
}

/** Reads a file that is open from where it stands to its end. All chunks share their bytes. @default chunkSize 1 MiB */
export function* fileChunks(fd: number, chunkSize: number = 1 << 20): Generator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(chunkSize);
  for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
    yield buffer.subarray(0, count);
}
