import { decodeInode, encodeInode, type Inode, sealInode } from './inode.ts';
import { firstFreeInode, inodeSize } from './layout.ts';

const inodesPerPage = 4096;

/**
 * All inodes of an image that is being written, in the very bytes that go to the disk: 256 bytes for each, and
 * nothing for a garbage collector to look at.
 */
export class InodeTable {
  readonly #pages: DataView<ArrayBuffer>[] = [];
  readonly #free: number[] = [];
  #next = firstFreeInode;

  /** The number of a new inode, all zeros. */
  allocate(): number {
    const number = this.#free.pop() ?? this.#next++;
    if (this.#pages.length * inodesPerPage < number) {
      this.#pages.push(new DataView(new ArrayBuffer(inodesPerPage * inodeSize)));
    }
    return number;
  }

  free(number: number): void {
    this.bytes(number, 0, inodeSize).fill(0);
    this.#free.push(number);
  }

  /** The highest number in use or once in use. */
  get last(): number {
    return this.#next - 1;
  }

  get freed(): readonly number[] {
    return this.#free;
  }

  view(number: number): DataView<ArrayBuffer> {
    const index = Math.floor((number - 1) / inodesPerPage);
    const page = this.#pages[index];
    if (page) return page;
    // The reserved ones come before the first that is allocated.
    return (this.#pages[index] = new DataView(new ArrayBuffer(inodesPerPage * inodeSize)));
  }

  /** Where in its view an inode begins. */
  offset(number: number): number {
    return ((number - 1) % inodesPerPage) * inodeSize;
  }

  bytes(number: number, start: number, end: number): Uint8Array {
    return new Uint8Array(this.view(number).buffer, this.offset(number) + start, end - start);
  }

  mode(number: number): number {
    return this.view(number).getUint16(this.offset(number), true);
  }

  get(number: number): Inode {
    return decodeInode(this.view(number), this.offset(number), inodeSize);
  }

  set(number: number, inode: Inode): void {
    encodeInode(this.view(number), this.offset(number), inode);
  }

  /** The table in pieces, from the first inode to the last. */
  *pieces(checksumSeed: number | undefined): Generator<Uint8Array, void, undefined> {
    let left = this.last;
    for (const [index, page] of this.#pages.entries()) {
      const count = Math.min(left, inodesPerPage);
      const bytes = new Uint8Array(page.buffer, 0, count * inodeSize);
      if (checksumSeed !== undefined) this.#seal(bytes, index * inodesPerPage + 1, checksumSeed);
      yield bytes;
      left -= count;
    }
  }

  /** Inodes that are not in use stay all zeros. */
  #seal(bytes: Uint8Array, first: number, seed: number): void {
    for (let at = 0, number = first; at < bytes.length; at += inodeSize, number++) {
      const used = bytes[at] !== 0 || bytes[at + 1] !== 0;
      if (used) sealInode(bytes, at, inodeSize, seed, number);
    }
  }
}
