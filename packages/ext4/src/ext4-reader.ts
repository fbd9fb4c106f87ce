import { type BlockReader, extentsOfPointers, extentsOfTree } from './block-map.ts';
import type { SeekableInput } from './byte-storage.ts';
import { crc32c, crc32cWord } from './crc32c.ts';
import { type DirectoryEntry, decodeDirectoryBlock, directoryChecksumFits } from './directory.ts';
import { Ext4Error } from './ext4-error.ts';
import type { Extent } from './extent.ts';
import { decodeGroupDescriptor, type GroupDescriptor } from './group-descriptor.ts';
import {
  blockFieldOffset,
  blockFieldSize,
  decodeDevice,
  decodeInode,
  type Inode,
  inodeSeed,
} from './inode.ts';
import { type FileStatus, fileTypeOf, Incompat, InodeFlag, ReadOnlyCompat, rootInode } from './layout.ts';
import { fromByteString, type PathEncoding, toByteString } from './path-name.ts';
import { readSuperblock, type Superblock } from './superblock.ts';
import {
  decodeXattrs,
  fromStoredXattr,
  isInlineData,
  type StoredXattr,
  xattrBlockChecksumFits,
} from './xattr.ts';

export interface Ext4ReaderOptions {
  /** @default 'utf8' */
  pathEncoding?: PathEncoding;
  /** Most entries that `walk` visits; LIMIT_EXCEEDED beyond. @default 10000000 */
  entries?: number;
}

export interface WalkEntry {
  /** Below the root, with `/` between names; empty for the root itself. */
  path: string;
  status: FileStatus;
}

/** A part of a file, in bytes. */
export interface DataRange {
  offset: number;
  size: number;
}

/** A piece of a file's content. */
export interface ContentPiece {
  /** Within the file. */
  offset: number;
  /** Valid until the next piece is asked for. */
  bytes: Uint8Array;
}

const known =
  Incompat.fileType |
  Incompat.metaGroups |
  Incompat.extents |
  Incompat.sixtyFourBit |
  Incompat.multiMountProtection |
  Incompat.flexibleGroups |
  Incompat.attributeInodes |
  Incompat.checksumSeed |
  Incompat.largeDirectory |
  Incompat.inlineData |
  Incompat.casefold;

const unknownNames: readonly (readonly [number, string])[] = [
  [Incompat.compression, 'it is compressed'],
  [Incompat.recover, 'its journal has to be replayed first, mount it or run e2fsck'],
  [Incompat.journalDevice, 'it is the journal of another file system'],
  [Incompat.encryption, 'it is encrypted'],
];

const windowSize = 64 << 10;
const mostWindows = 64;
const pieceSize = 1 << 20;
const longestTarget = 4095;
const entriesByDefault = 10_000_000;

interface RawInode extends Inode {
  number: number;
  bytes: Uint8Array;
  seed: number | undefined;
}

/**
 * Reads ext2, ext3 and ext4 file systems, whoever made them. Trusts nothing in them: what does not fit ends in CORRUPT,
 * with the block or inode and the field.
 */
export class Ext4Reader {
  readonly superblock: Superblock;
  /** How strings of paths, targets and names of attributes stand for their bytes. */
  readonly pathEncoding: PathEncoding;
  readonly #input: SeekableInput;
  readonly #mostEntries: number;
  readonly #checked: boolean;
  readonly #groups = new Map<number, GroupDescriptor>();
  /** Parts of inode tables that were read last, by where they begin. */
  readonly #windows = new Map<number, Uint8Array>();

  constructor(input: SeekableInput, options: Ext4ReaderOptions = {}) {
    this.#input = input;
    this.pathEncoding = options.pathEncoding ?? 'utf8';
    this.#mostEntries = options.entries ?? entriesByDefault;
    this.superblock = readSuperblock(input);
    const { incompat, readOnlyCompat, blocks, blockSize } = this.superblock;
    const unknown = incompat & ~known;
    if (unknown !== 0) {
      const reason = unknownNames.find(([bit]) => unknown & bit)?.[1];
      throw new Ext4Error(
        'UNSUPPORTED',
        `Cannot read the file system: ${reason ?? `it has unknown features 0x${unknown.toString(16)}`}`,
      );
    }
    if (blocks * blockSize > input.size) {
      throw new Ext4Error(
        'CORRUPT',
        `Cannot read the superblock: field "blocks_count": ${blocks} blocks of ${blockSize} are more than the image has`,
      );
    }
    this.#checked = (readOnlyCompat & ReadOnlyCompat.metadataChecksums) !== 0;
  }

  /** What is known of a file; undefined when there is none. Symlinks are not followed. */
  stat(path: string): FileStatus | undefined {
    const number = this.#find(path);
    return number === undefined ? undefined : this.#status(this.#inode(number));
  }

  /** Names in a directory with their inodes, without `.` and `..`, in the order in which they are stored. */
  readDirectory(path: string): DirectoryEntry[] {
    const entries = this.#entries(this.#inode(this.#existing(path)));
    return entries.map(({ name, inode }) => ({ name: fromByteString(name, this.pathEncoding), inode }));
  }

  /** Every file, each directory before what is in it. */
  *walk(): Generator<WalkEntry, void, undefined> {
    const seen = new Set<number>([rootInode]);
    const root = this.#inode(rootInode);
    yield { path: '', status: this.#status(root) };
    const waiting = [{ path: '', entries: this.#entries(root).values() }];
    let count = 0;
    for (let here = waiting.at(-1); here; here = waiting.at(-1)) {
      const { done, value } = here.entries.next();
      if (done) {
        waiting.pop();
        continue;
      }
      if (++count > this.#mostEntries) {
        throw new Ext4Error(
          'LIMIT_EXCEEDED',
          `Cannot read the file system: it has more than ${this.#mostEntries} entries`,
        );
      }
      const inode = this.#inode(value.inode);
      const name = fromByteString(value.name, this.pathEncoding);
      const path = here.path === '' ? name : `${here.path}/${name}`;
      const status = this.#status(inode);
      yield { path, status };
      if (status.type !== 'directory') continue;
      if (seen.has(value.inode))
        throw corrupt(`directory "${path}"`, 'inode', `${value.inode} has another name already`);
      seen.add(value.inode);
      waiting.push({ path, entries: this.#entries(inode).values() });
    }
  }

  /**
   * Content of a file, by path or inode number, in pieces of at most 1 MiB and in order. What is between pieces and after the last reads as
   * zeros.
   */
  *content(file: string | number): Generator<ContentPiece, void, undefined> {
    yield* this.#content(this.#inode(typeof file === 'number' ? file : this.#existing(file)));
  }

  /** Where a file, by path or inode number, has content, in order. What is between and after reads as zeros. */
  *dataRanges(file: string | number): Generator<DataRange, void, undefined> {
    const inode = this.#inode(typeof file === 'number' ? file : this.#existing(file));
    if (inode.flags & InodeFlag.inlineData) {
      if (inode.size > 0) yield { offset: 0, size: inode.size };
      return;
    }
    for (const { logical, blocks } of this.#extents(inode)) {
      const offset = logical * this.superblock.blockSize;
      const size = Math.min(blocks * this.superblock.blockSize, inode.size - offset);
      if (size > 0) yield { offset, size };
    }
  }

  /** All of a file's content. Throws LIMIT_EXCEEDED when that is more than `limit` bytes. @default limit 256 MiB */
  readFile(file: string | number, { limit = 256 << 20 }: { limit?: number } = {}): Uint8Array<ArrayBuffer> {
    const inode = this.#inode(typeof file === 'number' ? file : this.#existing(file));
    return this.#all(inode, limit);
  }

  #all(inode: RawInode, limit: number): Uint8Array<ArrayBuffer> {
    if (inode.size > limit) {
      throw new Ext4Error(
        'LIMIT_EXCEEDED',
        `Cannot read inode ${inode.number}: it has ${inode.size} bytes, allowed are ${limit}`,
      );
    }
    const content = new Uint8Array(inode.size);
    for (const { offset, bytes } of this.#content(inode)) content.set(bytes, offset);
    return content;
  }

  *#content(inode: RawInode): Generator<ContentPiece, void, undefined> {
    const { size } = inode;
    if (inode.flags & InodeFlag.inlineData) {
      yield { offset: 0, bytes: this.#inlineData(inode).subarray(0, size) };
      return;
    }
    const { blockSize } = this.superblock;
    const buffer = new Uint8Array(Math.min(pieceSize, Math.ceil(size / blockSize) * blockSize));
    for (const { logical, physical, blocks } of this.#extents(inode)) {
      const start = logical * blockSize;
      const end = Math.min(start + blocks * blockSize, size);
      for (let offset = start; offset < end; offset += buffer.length) {
        const bytes = buffer.subarray(0, Math.min(buffer.length, end - offset));
        this.#read(bytes, physical * blockSize + (offset - start), `inode ${inode.number}`);
        yield { offset, bytes };
      }
    }
  }

  *#extents(inode: RawInode): Generator<Extent, void, undefined> {
    const { blockSize, blocks } = this.superblock;
    const root = inode.bytes.subarray(blockFieldOffset, blockFieldOffset + blockFieldSize);
    const subject = `inode ${inode.number}`;
    // No block is in a file twice, so that what leads into itself ends.
    let left = blocks;
    const take = (count: number): void => {
      left -= count;
      if (left < 0) throw corrupt(subject, 'i_block', `it has more blocks than the disk's ${blocks}`);
    };
    const read: BlockReader = (block) => {
      take(1);
      return this.#block(block, subject);
    };
    const extents =
      inode.flags & InodeFlag.extents
        ? extentsOfTree(root, subject, read, inode.seed)
        : extentsOfPointers(root, Math.ceil(inode.size / blockSize), blockSize, subject, read);
    for (const extent of extents) {
      take(extent.blocks);
      yield extent;
    }
  }

  #inlineData(inode: RawInode): Uint8Array {
    const first = inode.bytes.subarray(blockFieldOffset, blockFieldOffset + blockFieldSize);
    const more = this.#inodeXattrs(inode).find(isInlineData)?.value ?? new Uint8Array();
    if (inode.size > first.length + more.length) {
      throw corrupt(`inode ${inode.number}`, 'i_size', `${inode.size} bytes are more than its inline data`);
    }
    const all = new Uint8Array(first.length + more.length);
    all.set(first);
    all.set(more, first.length);
    return all;
  }

  #entries(inode: RawInode): DirectoryEntry[] {
    const { blockSize, blocks } = this.superblock;
    if (fileTypeOf(inode.mode) !== 'directory') {
      if (inode.number === rootInode) throw corrupt('inode 2', 'i_mode', 'the root is no directory');
      throw new Ext4Error('PATH_NOT_FOUND', `Cannot read inode ${inode.number} as a directory: it is none`);
    }
    // No two directories share a block, so that no directory is larger than its disk.
    if (inode.size > blocks * blockSize) {
      throw corrupt(`inode ${inode.number}`, 'i_size', `a directory has no ${inode.size} bytes`);
    }
    const entries: DirectoryEntry[] = [];
    const take = (bytes: Uint8Array, subject: string): void => {
      for (const entry of decodeDirectoryBlock(bytes, subject)) {
        if (entry.name === '.' || entry.name === '..') continue;
        if (entry.name.includes('/') || entry.name.includes('\0')) {
          throw corrupt(subject, 'name', `${JSON.stringify(entry.name)} is no name`);
        }
        if (entries.push(entry) > this.#mostEntries) {
          throw new Ext4Error(
            'LIMIT_EXCEEDED',
            `Cannot read ${subject}: it has more than ${this.#mostEntries} entries`,
          );
        }
      }
    };
    if (inode.flags & InodeFlag.inlineData) {
      const data = this.#inlineData(inode);
      // The first word is the parent's inode.
      take(data.subarray(4, blockFieldSize), `inode ${inode.number}`);
      if (data.length > blockFieldSize) take(data.subarray(blockFieldSize), `inode ${inode.number}`);
      return entries;
    }
    let read = 0;
    for (const { logical, physical, blocks: count } of this.#extents(inode)) {
      for (let index = 0; index < count && (logical + index) * blockSize < inode.size; index++) {
        const subject = `block ${physical + index} of directory inode ${inode.number}`;
        const block = this.#block(physical + index, subject);
        if (inode.seed !== undefined && !directoryChecksumFits(block, inode.seed)) {
          throw corrupt(subject, 'det_checksum', 'it does not fit the content');
        }
        take(block, subject);
        read += blockSize;
      }
    }
    if (read < inode.size)
      throw corrupt(`inode ${inode.number}`, 'i_size', `the directory has only ${read} bytes`);
    return entries;
  }

  #status(inode: RawInode): FileStatus {
    const { number, mode, uid, gid, size, links, modified, accessed, changed, created } = inode;
    const type = fileTypeOf(mode);
    if (!type) throw corrupt(`inode ${number}`, 'i_mode', `0${mode.toString(8)} is no type of file`);
    const target =
      type === 'symlink' ? { target: fromByteString(this.#target(inode), this.pathEncoding) } : {};
    const view = new DataView(inode.bytes.buffer, inode.bytes.byteOffset, inode.bytes.byteLength);
    const device = type === 'character' || type === 'block' ? decodeDevice(view, blockFieldOffset) : {};
    return {
      type,
      inode: number,
      mode: mode & 0o7777,
      uid,
      gid,
      size,
      links,
      modified,
      accessed,
      changed,
      created,
      xattrs: this.#xattrs(inode),
      ...target,
      ...device,
    };
  }

  #target(inode: RawInode): string {
    const { number, size, flags, sectors, attributeBlock } = inode;
    const ownSectors = sectors - (attributeBlock === 0 ? 0 : this.superblock.blockSize / 512);
    if (size > longestTarget) throw corrupt(`inode ${number}`, 'i_size', `a symlink has no ${size} bytes`);
    const inside =
      size < blockFieldSize && ownSectors <= 0 && !(flags & (InodeFlag.extents | InodeFlag.inlineData));
    const bytes = inside
      ? inode.bytes.subarray(blockFieldOffset, blockFieldOffset + size)
      : this.#all(inode, longestTarget);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }

  #xattrs(inode: RawInode): Map<string, Uint8Array> {
    const stored = this.#inodeXattrs(inode);
    if (inode.attributeBlock !== 0) {
      const subject = `block ${inode.attributeBlock}`;
      const block = this.#block(inode.attributeBlock, `inode ${inode.number}`);
      if (
        this.#checked &&
        !xattrBlockChecksumFits(block, inode.attributeBlock, this.superblock.checksumSeed)
      ) {
        throw corrupt(subject, 'h_checksum', 'it does not fit the content');
      }
      stored.push(...decodeXattrs(block, 'block', subject));
    }
    const xattrs = new Map<string, Uint8Array>();
    for (const xattr of stored) {
      const plain = isInlineData(xattr) ? undefined : fromStoredXattr(xattr);
      if (plain) xattrs.set(fromByteString(plain[0], this.pathEncoding), plain[1]);
    }
    return xattrs;
  }

  #inodeXattrs({ number, bytes }: RawInode): StoredXattr[] {
    if (bytes.length <= 128) return [];
    const start = 128 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(128, true);
    if (start > bytes.length || start % 4 !== 0)
      throw corrupt(`inode ${number}`, 'i_extra_isize', `it is ${start - 128}`);
    return decodeXattrs(bytes.subarray(start), 'inode', `inode ${number}`);
  }

  #find(path: string): number | undefined {
    let here = rootInode;
    for (const name of toByteString(path, this.pathEncoding).split('/')) {
      if (name === '' || name === '.') continue;
      const inode = this.#inode(here);
      if (fileTypeOf(inode.mode) !== 'directory') return undefined;
      const entry = this.#entries(inode).find((candidate) => candidate.name === name);
      if (!entry) return undefined;
      here = entry.inode;
    }
    return here;
  }

  #existing(path: string): number {
    const number = this.#find(path);
    if (number === undefined)
      throw new Ext4Error('FILE_NOT_FOUND', `Cannot read "${path}": there is no such file`);
    return number;
  }

  #inode(number: number): RawInode {
    const { inodes, inodesPerGroup, inodeSize, blockSize, checksumSeed } = this.superblock;
    const subject = `inode ${number}`;
    if (!(number >= 1 && number <= inodes)) throw corrupt(subject, 'number', `there are ${inodes} inodes`);
    const { inodeTable } = this.#group(Math.floor((number - 1) / inodesPerGroup));
    const offset = inodeTable * blockSize + ((number - 1) % inodesPerGroup) * inodeSize;
    const start = offset - (offset % windowSize);
    const window = this.#windows.get(start) ?? this.#readWindow(start, subject);
    const within = offset - start;
    if (within + inodeSize > window.length) throw corrupt(subject, 'bg_inode_table', 'it is beyond the disk');
    const bytes = window.subarray(within, within + inodeSize);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const seed = this.#checked ? inodeSeed(checksumSeed, number, view.getUint32(100, true)) : undefined;
    if (seed !== undefined && !inodeChecksumFits(bytes, seed))
      throw corrupt(subject, 'i_checksum', 'it does not fit the content');
    return { ...decodeInode(view, 0, inodeSize), number, bytes, seed };
  }

  #readWindow(start: number, subject: string): Uint8Array {
    const { blocks, blockSize } = this.superblock;
    const bytes = new Uint8Array(Math.min(windowSize, Math.max(0, blocks * blockSize - start)));
    this.#read(bytes, start, subject);
    const [oldest] = this.#windows.keys();
    if (oldest !== undefined && this.#windows.size === mostWindows) this.#windows.delete(oldest);
    this.#windows.set(start, bytes);
    return bytes;
  }

  #group(group: number): GroupDescriptor {
    const cached = this.#groups.get(group);
    if (cached) return cached;
    const { blockSize, firstBlock, descriptorSize, firstMetaGroup, blocksPerGroup } = this.superblock;
    const perBlock = blockSize / descriptorSize;
    const index = Math.floor(group / perBlock);
    // With meta_bg the block is in the first of the groups that it describes, behind a superblock if there is one.
    const first = firstBlock + index * perBlock * blocksPerGroup;
    const block =
      index < firstMetaGroup
        ? firstBlock + 1 + index
        : first + (this.#hasSuperblock(index * perBlock) ? 1 : 0);
    const bytes = this.#block(block, `descriptor of group ${group}`);
    const at = (group % perBlock) * descriptorSize;
    const descriptor = decodeGroupDescriptor(bytes.subarray(at, at + descriptorSize), descriptorSize);
    if (this.#checked) {
      const copy = bytes.slice(at, at + descriptorSize);
      copy.fill(0, 30, 32);
      const stored = bytes[at + 30]! | (bytes[at + 31]! << 8);
      if ((crc32c(crc32cWord(this.superblock.checksumSeed, group), copy) & 0xffff) !== stored) {
        throw corrupt(
          `descriptor of group ${group} in block ${block}`,
          'bg_checksum',
          'it does not fit the content',
        );
      }
    }
    this.#groups.set(group, descriptor);
    return descriptor;
  }

  #hasSuperblock(group: number): boolean {
    if (!(this.superblock.readOnlyCompat & ReadOnlyCompat.sparseSuper) || group <= 1) return true;
    return [3, 5, 7].some((base) => {
      let power = base;
      while (power < group) power *= base;
      return power === group;
    });
  }

  readonly #block: BlockReader = (block, subject) => {
    const { blockSize } = this.superblock;
    const bytes = new Uint8Array(blockSize);
    this.#read(bytes, block * blockSize, subject);
    return bytes;
  };

  #read(into: Uint8Array, offset: number, subject: string): void {
    const { blockSize, blocks } = this.superblock;
    if (offset + into.length > blocks * blockSize) {
      throw corrupt(
        subject,
        'block',
        `${Math.floor(offset / blockSize)} is beyond the disk's ${blocks} blocks`,
      );
    }
    this.#input.read(into, offset);
  }
}

function inodeChecksumFits(bytes: Uint8Array, seed: number): boolean {
  const copy = Uint8Array.from(bytes);
  // An inode that was never used.
  if (copy.every((byte) => byte === 0)) return true;
  const high = bytes.length > 128 && bytes[128]! + bytes[129]! * 256 >= 4;
  copy.fill(0, 124, 126);
  if (high) copy.fill(0, 130, 132);
  const checksum = crc32c(seed, copy);
  const low = bytes[124]! | (bytes[125]! << 8);
  return low === (checksum & 0xffff) && (!high || (bytes[130]! | (bytes[131]! << 8)) === checksum >>> 16);
}

function corrupt(subject: string, field: string, problem: string): Ext4Error {
  return new Ext4Error('CORRUPT', `Cannot read ${subject}: field "${field}": ${problem}`);
}
