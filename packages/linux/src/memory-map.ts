import { fstatSync } from 'node:fs';
import { checked, ffi, libc } from './libc.ts';

// sys/mman.h
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/**
 * A file, or a part of it, as memory that is shared with everyone who maps it. Disposing detaches all views,
 * so that a late access reads nothing instead of killing the process.
 *
 * A file that another process truncates under the mapping ends this process with SIGBUS: map only what is
 * trusted to keep its size. The size at the time of mapping is checked here.
 */
export class MemoryMap implements Disposable {
  readonly buffer: ArrayBuffer;
  readonly #address: bigint;
  readonly #length: bigint;

  /**
   * @param fd Open for reading and writing. Stays the caller's and may be closed at once.
   * @param range In bytes; `offset` is a multiple of the page size. @default offset 0
   */
  constructor(fd: number, { length, offset = 0 }: { length: number; offset?: number }) {
    const { size } = fstatSync(fd);
    if (length <= 0 || offset + length > size) {
      throw new RangeError(
        `Cannot map bytes ${offset} to ${offset + length} of descriptor ${fd}: it has ${size} bytes`,
      );
    }
    this.#length = BigInt(length);
    this.#address = checked(
      BigInt.asIntN(
        64,
        libc().mmap(null, this.#length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, BigInt(offset)),
      ),
      'mmap',
      `map ${length} bytes of descriptor ${fd}`,
    );
    this.buffer = ffi().toArrayBuffer(this.#address, length, false);
  }

  [Symbol.dispose](): void {
    if (this.buffer.detached) return;
    this.buffer.transfer(0);
    libc().munmap(this.#address, this.#length);
  }
}
