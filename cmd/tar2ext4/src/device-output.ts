import { writeSync } from 'node:fs';
import type { SeekableOutput } from '@hcsshim/ext4';

const zeros = new Uint8Array(1 << 20);

/**
 * A block device that is open for writing. Unlike a new file it may hold old bytes, so what is left out on the way is
 * written as zeros.
 */
export class DeviceOutput implements SeekableOutput {
  readonly #fd: number;
  /** All before it is written. */
  #end = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.setSize(offset);
    this.#put(bytes, offset);
    this.#end = Math.max(this.#end, offset + bytes.length);
  }

  setSize(size: number): void {
    while (this.#end < size) {
      const part = zeros.subarray(0, Math.min(zeros.length, size - this.#end));
      this.#put(part, this.#end);
      this.#end += part.length;
    }
  }

  #put(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    }
  }
}
