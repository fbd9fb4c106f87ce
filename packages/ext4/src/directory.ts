import { crc32c } from './crc32c.ts';
import { Ext4Error } from './ext4-error.ts';
import { blockSize, type FileType } from './layout.ts';

/*
 * A directory is blocks of entries, each up to the next; none crosses a block, the last reaches to its end:
 *
 *   0       4               6        7      8
 *   +-------+---------------+--------+------+------------+----------------------+
 *   | inode | entry length, | length | type | name       | up to a multiple     |
 *   |       | multiple of 4 | of name|      |            | of 4, or to the end  |
 *   +-------+---------------+--------+------+------------+----------------------+
 *
 * Entries of inode 0 are unused. With checksums of metadata the last 12 bytes of a block are such an entry: length
 * 12, no name, type 0xDE, and then the checksum.
 */

const headSize = 8;
const tailSize = 12;
const tailType = 0xde;

const typeCodes: Readonly<Record<FileType, number>> = {
  file: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  socket: 6,
  symlink: 7,
};

/** Builds a directory's blocks one by one and hands each to `append`; the bytes are reused for the next. */
export class DirectoryEncoder {
  readonly #append: (block: Uint8Array) => void;
  readonly #block = Buffer.alloc(blockSize);
  #checksumSeed: number | undefined;
  #end = blockSize;
  #at = 0;
  /** Where the last entry of the block begins; its length is known when the next does not fit. */
  #last = 0;
  blocks = 0;

  constructor(append: (block: Uint8Array) => void) {
    this.#append = append;
  }

  begin(checksumSeed: number | undefined): void {
    this.#checksumSeed = checksumSeed;
    this.#end = checksumSeed === undefined ? blockSize : blockSize - tailSize;
    this.#block.fill(0);
    this.#at = this.#last = this.blocks = 0;
  }

  /** `name` is a byte string. */
  add(name: string, inode: number, type: FileType): void {
    const needed = directoryEntrySize(name.length);
    if (this.#at + needed > this.#end) this.#emit();
    const block = this.#block;
    const at = this.#at;
    block.writeUInt32LE(inode, at);
    block.writeUInt16LE(needed, at + 4);
    block[at + 6] = name.length;
    block[at + 7] = typeCodes[type];
    block.write(name, at + headSize, 'latin1');
    this.#last = at;
    this.#at = at + needed;
  }

  /** Bytes of entries that fit into a block. */
  get capacity(): number {
    return this.#end;
  }

  /** Returns the number of blocks. */
  end(): number {
    this.#emit();
    return this.blocks;
  }

  #emit(): void {
    const block = this.#block;
    block.writeUInt16LE(this.#end - this.#last, this.#last + 4);
    if (this.#checksumSeed !== undefined) {
      block.writeUInt16LE(tailSize, this.#end + 4);
      block[this.#end + 7] = tailType;
      block.writeUInt32LE(crc32c(this.#checksumSeed, block, 0, this.#end), this.#end + 8);
    }
    this.#append(block);
    this.blocks++;
    block.fill(0);
    this.#at = this.#last = 0;
  }
}

/** Bytes of an entry whose name has so many. */
export function directoryEntrySize(nameLength: number): number {
  return (headSize + nameLength + 3) & ~3;
}

export interface DirectoryEntry {
  /** Byte string. */
  name: string;
  inode: number;
}

/**
 * The used entries of one block, or of a part of an inode. An htree's index blocks look like unused entries, so
 * this reads directories with an index too. Throws CORRUPT; `subject` says of which block.
 */
export function* decodeDirectoryBlock(
  bytes: Uint8Array,
  subject: string,
): Generator<DirectoryEntry, void, undefined> {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < block.length; ) {
    const problem = (field: string, value: number): Ext4Error =>
      new Ext4Error('CORRUPT', `Cannot read ${subject}: entry at ${at}: field "${field}": it is ${value}`);
    if (block.length - at < headSize) throw problem('rec_len', block.length - at);
    const inode = block.readUInt32LE(at);
    // 64 KiB does not fit into the field.
    const stored = block.readUInt16LE(at + 4);
    const length = (stored === 0xffff || stored === 0) && block.length === 65536 ? 65536 : stored;
    const nameLength = block[at + 6]!;
    if (length < headSize || length % 4 !== 0 || at + length > block.length) throw problem('rec_len', length);
    if (inode !== 0) {
      if (nameLength === 0 || headSize + nameLength > length) throw problem('name_len', nameLength);
      yield { name: block.toString('latin1', at + headSize, at + headSize + nameLength), inode };
    }
    at += length;
  }
}

/** Whether a block's checksum is right; blocks without one, such as those of an index, pass. */
export function directoryChecksumFits(block: Uint8Array, seed: number): boolean {
  const end = block.length - tailSize;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const hasTail =
    view.getUint32(end, true) === 0 &&
    view.getUint16(end + 4, true) === tailSize &&
    block[end + 7] === tailType;
  return !hasTail || view.getUint32(end + 8, true) === crc32c(seed, block, 0, end);
}
