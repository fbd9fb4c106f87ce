import type { SeekableOutput } from './byte-storage.ts';
import { ContentStream } from './content-stream.ts';
import { crc32c } from './crc32c.ts';
import { DirectoryEncoder, directoryEntrySize } from './directory.ts';
import { encodeIndex, indexNames } from './directory-index.ts';
import { Ext4Error } from './ext4-error.ts';
import { type Extent, encodeExtents } from './extent.ts';
import { encodeGroupDescriptor } from './group-descriptor.ts';
import { BitmapEncoder, type GroupPlan, mergeRanges, planGroups, type Range } from './group-plan.ts';
import { diskSizeExceeded, ImageStream } from './image-stream.ts';
import {
  attributeOffset,
  blockFieldOffset,
  blockFieldSize,
  decodeDevice,
  encodeDevice,
  type Inode,
  inodeSeed,
} from './inode.ts';
import { InodeTable } from './inode-table.ts';
import { encodeJournalSuperblock, journalInode, largestJournal, smallestJournal } from './journal.ts';
import {
  blockSize,
  blocksPerGroup,
  Compat,
  type FileAttributes,
  type FileStatus,
  type FileTime,
  type FileType,
  fileTypeOf,
  firstFreeInode,
  groupDescriptorSize,
  Incompat,
  InodeFlag,
  inodeSize,
  largestDisk,
  longestInlineTarget,
  longestTarget,
  mostLinks,
  ReadOnlyCompat,
  rootInode,
  typeBits,
} from './layout.ts';
import { NameHash } from './name-hash.ts';
import { checkName, fromByteString, type PathEncoding, toByteString } from './path-name.ts';
import { encodeSuperblock, superblockOffset } from './superblock.ts';
import {
  decodeXattrs,
  encodeInodeXattrs,
  encodeXattrBlock,
  fromStoredXattr,
  inlineDataCapacity,
  inlineDataXattr,
  isInlineData,
  placeXattrs,
  type StoredXattr,
  sealXattrBlock,
  toStoredXattrs,
} from './xattr.ts';

export interface Ext4WriterOptions {
  /** In bytes, up to 16 TiB less one block. Room for this many groups is set aside. @default 16 GiB */
  maximumDiskSize?: number;
  /** Of the file system, a multiple of 4096; what is not needed is free. @default what the content needs */
  size?: number;
  /** How many files there can be at least. @default what the content needs */
  inodes?: number;
  /** Keep small files in their inodes. @default false */
  inlineData?: boolean;
  /** CRC-32C over all metadata. @default false */
  metadataChecksums?: boolean;
  /**
   * Index directories of more than a block by the hashes of their names, so that the kernel finds a name without
   * reading all of them, and let the kernel index those that grow. @default false
   */
  indexDirectories?: boolean;
  /**
   * Checksums of what describes each group, even without `metadataChecksums`: a group that nothing is in then needs no
   * bitmaps, and an empty file system of any size takes little place. @default false
   */
  groupChecksums?: boolean;
  /** Mark the file system as one that is never written. @default true */
  readOnly?: boolean;
  /** Bytes of a journal, from 4 MiB to 512 MiB and a multiple of 4096; not with `readOnly`. @default none */
  journalSize?: number;
  /** Make the directory where e2fsck puts what it finds. @default true */
  lostAndFound?: boolean;
  /** A GUID. @default all zeros */
  uuid?: string;
  /** At most 16 bytes. @default none */
  label?: string;
  /** When the file system was made, seconds from the Unix epoch. @default 0 */
  time?: number;
  /** @default 'utf8' */
  pathEncoding?: PathEncoding;
  /** Follow a symlink that a path goes through, within the image. @default false: PATH_NOT_FOUND */
  followSymlinks?: boolean;
}

/**
 * A file to make. Attributes that are not given: mode 0755 for a directory, 0777 for a symlink and 0644 for others, owner 0:0, the
 * epoch as time of modification, that time for all other times, no extended attributes.
 */
export type NewFile = Partial<FileAttributes> &
  (
    | { type: 'file' /** In bytes; must be written before anything else. @default 0 */; size?: number }
    | { type: 'directory' }
    | { type: 'symlink'; target: string }
    | { type: 'character' | 'block'; major: number; minor: number }
    | { type: 'fifo' | 'socket' }
  );

/** What was written. */
export interface Ext4Image {
  /** Bytes of the image. */
  size: number;
  blocks: number;
  freeBlocks: number;
  inodes: number;
  freeInodes: number;
}

interface Directory {
  inode: number;
  parent: Directory;
  /** Inode numbers by byte string. */
  entries: Map<string, number>;
  subdirectories: number;
}

interface OpenFile {
  path: string;
  inode: number;
  size: number;
  firstBlock: number;
  /** Content that goes into the inode, and what else does. */
  inline?: { content: Uint8Array; filled: number; xattrs: StoredXattr[] };
}

const epoch: FileTime = { seconds: 0, nanoseconds: 0 };
const defaultMaximumDiskSize = 16 * 2 ** 30;
const attributeSpace = inodeSize - attributeOffset;
/** Block numbers within a file have 32 bits. */
const largestFile = (2 ** 32 - 1) * blockSize;
const mostFollowed = 40;
const sectorsPerBlock = blockSize / 512;
const largestMinor = 2 ** 20 - 1;
const largestMajor = 2 ** 12 - 1;
const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

/**
 * Writes an ext4 file system from front to back. Content goes to the disk as it comes; in memory are the inodes and
 * the names. The same calls make the same bytes. Nothing valid is on the disk before `finish` has returned.
 */
export class Ext4Writer {
  readonly #output: SeekableOutput;
  readonly #stream: ImageStream;
  readonly #content: ContentStream;
  readonly #encoding: PathEncoding;
  readonly #options: Ext4WriterOptions;
  readonly #maximumDiskSize: number;
  readonly #descriptorBlocks: number;
  readonly #uuid: Uint8Array;
  readonly #nameHash: NameHash;
  readonly #checksumSeed: number | undefined;
  readonly #inodes = new InodeTable();
  readonly #root: Directory;
  readonly #directories = new Map<number, Directory>();
  /** Attributes that are in blocks of their own, by inode. */
  readonly #outside = new Map<number, { block: number; xattrs: StoredXattr[] }>();
  /** Blocks of files whose extents are not all in the inode, by inode. */
  readonly #spread = new Map<number, Range>();
  readonly #longTargets = new Map<number, string>();
  #freedBlocks: Range[] = [];
  #open: OpenFile | undefined;
  #lastParent: { path: string; directory: Directory } | undefined;
  #finished = false;

  constructor(output: SeekableOutput, options: Ext4WriterOptions = {}) {
    const {
      maximumDiskSize = Math.max(defaultMaximumDiskSize, options.size ?? 0),
      uuid,
      label = '',
      size,
    } = options;
    if (!(maximumDiskSize > 0 && maximumDiskSize <= largestDisk)) {
      throw new Ext4Error(
        'INVALID_OPTION',
        `Cannot write an image of ${maximumDiskSize} bytes: at most ${largestDisk}`,
      );
    }
    if (size !== undefined && !(size > 0 && size <= maximumDiskSize && size % blockSize === 0)) {
      throw new Ext4Error(
        'INVALID_OPTION',
        `Cannot write an image of ${size} bytes: give a multiple of ${blockSize}`,
      );
    }
    this.#encoding = options.pathEncoding ?? 'utf8';
    if (toByteString(label, this.#encoding).length > 16) {
      throw new Ext4Error('INVALID_OPTION', `Cannot label the image "${label}": it has more than 16 bytes`);
    }
    this.#output = output;
    this.#options = options;
    this.#maximumDiskSize = maximumDiskSize;
    this.#uuid = parseUuid(uuid);
    this.#nameHash = new NameHash(this.#uuid);
    this.#checksumSeed = options.metadataChecksums ? crc32c(0xffffffff, this.#uuid) : undefined;
    const mostGroups = Math.ceil(maximumDiskSize / (blocksPerGroup * blockSize));
    this.#descriptorBlocks = Math.ceil((mostGroups * groupDescriptorSize) / blockSize);
    this.#stream = new ImageStream(output, (1 + this.#descriptorBlocks) * blockSize, maximumDiskSize);
    this.#content = new ContentStream(this.#stream);
    const root = { inode: rootInode, entries: new Map(), subdirectories: 0 } as unknown as Directory;
    root.parent = root;
    this.#root = root;
    this.#directories.set(rootInode, root);
    this.#setAttributes(rootInode, '/', { type: 'directory' });
    if (options.journalSize !== undefined) this.#writeJournal(options.journalSize);
    if (options.lostAndFound ?? true) this.create('lost+found', { type: 'directory', mode: 0o700 });
  }

  /**
   * Makes a file. A file in its place is replaced, except a directory by a directory: it gets the new attributes and
   * keeps what is in it. Content of a regular file follows with `write` and `skip`, before any other call.
   */
  create(path: string, file: NewFile): void {
    this.#finishFile();
    const { parent, name } = this.#locate(path);
    const present = name === undefined ? parent.inode : parent.entries.get(name);
    const presentDirectory = present === undefined ? undefined : this.#directories.get(present);
    if (presentDirectory && present !== undefined) {
      if (file.type !== 'directory') {
        throw new Ext4Error('CANNOT_REPLACE_DIRECTORY', `Cannot create file "${path}": there is a directory`);
      }
      this.#setAttributes(present, path, file);
      return;
    }
    if (present !== undefined && file.type === 'directory') {
      throw new Ext4Error('CANNOT_REPLACE_FILE', `Cannot create directory "${path}": there is a file`);
    }
    checkFile(file, path);
    const target = file.type === 'symlink' ? this.#target(file.target, path) : '';
    if (file.type === 'directory') this.#countSubdirectory(parent, path);
    const inode = this.#inodes.allocate();
    try {
      this.#setAttributes(inode, path, file);
    } catch (error) {
      // As if it had not been tried.
      if (file.type === 'directory') parent.subdirectories--;
      this.#inodes.free(inode);
      throw error;
    }
    if (present !== undefined) this.#unlink(present);
    parent.entries.set(ownCopy(name as string), inode);
    switch (file.type) {
      case 'directory':
        this.#directories.set(inode, { inode, parent, entries: new Map(), subdirectories: 0 });
        break;
      case 'symlink':
        this.#writeTarget(inode, path, target);
        break;
      case 'character':
      case 'block':
        encodeDevice(
          this.#inodes.view(inode),
          this.#inodes.offset(inode) + blockFieldOffset,
          file.major,
          file.minor,
        );
        break;
      case 'file':
        this.#beginFile(inode, path, file.size ?? 0);
        break;
    }
  }

  /** More content of the file that was created last. The bytes are the caller's again when it returns. */
  write(bytes: Uint8Array): void {
    const file = this.#openFile(bytes.length);
    if (file.inline) {
      file.inline.content.set(bytes, file.inline.filled);
      file.inline.filled += bytes.length;
    } else {
      this.#content.write(bytes);
    }
  }

  /** Zeros, as content of the file that was created last. Whole blocks of them take no place. */
  skip(bytes: number): void {
    const file = this.#openFile(bytes);
    if (file.inline) file.inline.filled += bytes;
    else this.#content.skip(bytes);
  }

  /** Gives the file at `target` a further name. What is at `path` is replaced, unless it is a directory. */
  link(target: string, path: string): void {
    this.#finishFile();
    const inode = this.#find(target);
    if (inode === undefined) {
      throw new Ext4Error('FILE_NOT_FOUND', `Cannot link "${path}": there is no file "${target}"`);
    }
    if (this.#directories.has(inode)) {
      throw new Ext4Error('LINK_TARGET_IS_DIRECTORY', `Cannot link "${path}": "${target}" is a directory`);
    }
    const { parent, name } = this.#locate(path);
    const present = name === undefined ? parent.inode : parent.entries.get(name);
    if (present === inode) return;
    if (present !== undefined && this.#directories.has(present)) {
      throw new Ext4Error('CANNOT_ORPHAN', `Cannot link "${path}": there is a directory`);
    }
    const fields = this.#inodes.get(inode);
    if (fields.links >= mostLinks) {
      throw new Ext4Error('LINK_LIMIT', `Cannot link "${path}": "${target}" has ${mostLinks} names already`);
    }
    if (present !== undefined) this.#unlink(present);
    this.#inodes.set(inode, { ...fields, links: fields.links + 1 });
    parent.entries.set(ownCopy(name as string), inode);
  }

  /** Makes the directories on the way to `path` that are missing. */
  makeParents(path: string, attributes: Partial<FileAttributes> = {}): void {
    this.#finishFile();
    this.#locate(path, attributes);
  }

  /** How many files and directories have been made, those that the file system needs for itself left out. */
  get created(): number {
    return this.#inodes.last - firstFreeInode + 1;
  }

  /** What is known of a file; undefined when there is none. A symlink at the end is not followed. */
  stat(path: string): FileStatus | undefined {
    this.#finishFile();
    const inode = this.#find(path);
    return inode === undefined ? undefined : this.#status(inode);
  }

  /** Writes all that is not content. Nothing can be added afterwards. */
  finish(): Ext4Image {
    this.#finishFile();
    this.#finished = true;
    for (const directory of this.#directories.values()) this.#writeDirectory(directory);
    const leastInodes = Math.max(this.#inodes.last, this.#options.inodes ?? 0);
    const leastBlocks = (this.#options.size ?? 0) / blockSize;
    const plan = planGroups(this.#stream.position / blockSize, leastInodes, leastBlocks);
    if (plan.blocks * blockSize > (this.#options.size ?? this.#maximumDiskSize)) {
      throw diskSizeExceeded(this.#options.size ?? this.#maximumDiskSize);
    }
    for (const piece of this.#inodes.pieces(this.#checksumSeed)) this.#stream.append(piece);
    this.#stream.end();
    return this.#writeGroups(plan);
  }

  #writeJournal(size: number): void {
    if (this.#options.readOnly ?? true) {
      throw new Ext4Error('INVALID_OPTION', 'Cannot give the image a journal: it is marked as read-only');
    }
    if (!(size >= smallestJournal && size <= largestJournal && size % blockSize === 0)) {
      throw new Ext4Error(
        'INVALID_OPTION',
        `Cannot give the image a journal of ${size} bytes: give a multiple of ${blockSize} from ${smallestJournal} to ${largestJournal}`,
      );
    }
    this.#setAttributes(journalInode, 'journal', { type: 'file', mode: 0o600 });
    const firstBlock = this.#stream.position / blockSize;
    this.#content.begin(size);
    this.#content.write(encodeJournalSuperblock(size / blockSize));
    this.#content.reserve(size - blockSize);
    const file = { path: 'journal', inode: journalInode, size, firstBlock };
    this.#mapContent(file, this.#inodes.get(journalInode), this.#content.end());
  }

  #writeTarget(inode: number, path: string, target: string): void {
    const bytes = Buffer.from(target, 'latin1');
    if (bytes.length <= longestInlineTarget) {
      this.#inodes.bytes(inode, blockFieldOffset, blockFieldOffset + blockFieldSize).set(bytes);
      this.#inodes.set(inode, { ...this.#inodes.get(inode), size: bytes.length });
      return;
    }
    this.#longTargets.set(inode, target);
    this.#open = { path, inode, size: bytes.length, firstBlock: this.#stream.position / blockSize };
    this.#content.begin(bytes.length);
    this.write(bytes);
    this.#finishFile();
  }

  #beginFile(inode: number, path: string, size: number): void {
    this.#open = { path, inode, size, firstBlock: this.#stream.position / blockSize };
    this.#content.begin(size);
    if (this.#options.inlineData && size > 0) this.#tryInline(this.#open);
  }

  /** Small content goes into the inode, unless it would push an attribute out into a block. */
  #tryInline(file: OpenFile): void {
    if (file.size > blockFieldSize + inlineDataCapacity(attributeSpace)) return;
    const xattrs = decodeXattrs(
      this.#inodes.bytes(file.inode, attributeOffset, inodeSize),
      'inode',
      file.path,
    );
    const content = new Uint8Array(file.size);
    const placed = placeXattrs(
      [inlineDataXattr(content.subarray(blockFieldSize)), ...xattrs],
      attributeSpace,
      file.path,
    );
    if (placed.block.length === 0) file.inline = { content, filled: 0, xattrs };
  }

  #openFile(bytes: number): OpenFile {
    const file = this.#open;
    if (!file)
      throw new Ext4Error('INVALID_STATE', 'Cannot write content: no file is open, create one first');
    const position = file.inline?.filled ?? this.#content.position;
    if (position + bytes > file.size) {
      throw new Ext4Error(
        'WROTE_TOO_MUCH',
        `Cannot write file "${file.path}": ${position + bytes} bytes are more than its size of ${file.size}`,
      );
    }
    return file;
  }

  #finishFile(): void {
    if (this.#finished) throw new Ext4Error('INVALID_STATE', 'Cannot change the image: it is finished');
    const file = this.#open;
    if (!file) return;
    const position = file.inline?.filled ?? this.#content.position;
    if (position !== file.size) {
      throw new Ext4Error(
        'WROTE_TOO_LITTLE',
        `Cannot finish file "${file.path}": ${position} bytes are less than its size of ${file.size}`,
      );
    }
    this.#open = undefined;
    const fields = this.#inodes.get(file.inode);
    if (file.inline) {
      const { content, xattrs } = file.inline;
      this.#inodes
        .bytes(file.inode, blockFieldOffset, blockFieldOffset + blockFieldSize)
        .set(content.subarray(0, blockFieldSize));
      encodeInodeXattrs(this.#inodes.bytes(file.inode, attributeOffset, inodeSize), [
        inlineDataXattr(content.subarray(blockFieldSize)),
        ...xattrs,
      ]);
      this.#inodes.set(file.inode, { ...fields, size: file.size, flags: InodeFlag.inlineData });
      return;
    }
    this.#mapContent(file, fields, this.#content.end());
  }

  #mapContent(
    { inode, size, firstBlock }: OpenFile,
    fields: Inode,
    extents: readonly Extent[],
    moreFlags = 0,
  ): void {
    const treeBlocks = encodeExtents(
      this.#inodes.view(inode),
      this.#inodes.offset(inode) + blockFieldOffset,
      extents,
      (node) => this.#appendBlock(node),
      this.#inodeSeed(inode),
    );
    const count = this.#stream.position / blockSize - firstBlock;
    // One extent of its own says where all is; what is more is noted for the case that the file is replaced.
    if (extents.length > 1 || treeBlocks > 0 || (count > 0 && extents.length === 0)) {
      this.#spread.set(inode, { start: firstBlock, count });
    }
    this.#inodes.set(inode, {
      ...fields,
      size,
      flags: InodeFlag.extents | moreFlags,
      sectors: fields.sectors + count * sectorsPerBlock,
    });
  }

  #appendBlock(block: Uint8Array): number {
    const number = this.#stream.position / blockSize;
    this.#stream.append(block);
    return number;
  }

  #inodeSeed(inode: number): number | undefined {
    return this.#checksumSeed === undefined ? undefined : inodeSeed(this.#checksumSeed, inode);
  }

  /** Describes a new inode, or anew one that is a directory. */
  #setAttributes(inode: number, path: string, file: NewFile): void {
    const type = file.type;
    const mode = file.mode ?? (type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644);
    if (!(mode >= 0 && mode <= 0o7777)) {
      throw new Ext4Error(
        'INVALID_MODE',
        `Cannot create "${path}": mode 0${mode.toString(8)} has more than permissions`,
      );
    }
    const modified = file.modified ?? epoch;
    const attributeBlock = this.#writeXattrs(inode, path, file.xattrs ?? noXattrs);
    const extents = type === 'file' || type === 'directory';
    this.#inodes.set(inode, {
      mode: typeBits[type] | mode,
      uid: file.uid ?? 0,
      gid: file.gid ?? 0,
      size: 0,
      links: 1,
      flags: extents ? InodeFlag.extents : 0,
      sectors: attributeBlock === 0 ? 0 : sectorsPerBlock,
      attributeBlock,
      modified,
      accessed: file.accessed ?? modified,
      changed: file.changed ?? modified,
      created: file.created ?? modified,
    });
  }

  /** Returns the block that takes what the inode has no space for, or 0. */
  #writeXattrs(inode: number, path: string, xattrs: ReadonlyMap<string, Uint8Array>): number {
    const before = this.#outside.get(inode);
    if (xattrs.size === 0 && !before) {
      this.#inodes.bytes(inode, attributeOffset, inodeSize).fill(0);
      return 0;
    }
    const named = new Map([...xattrs].map(([name, value]) => [toByteString(name, this.#encoding), value]));
    const placed = placeXattrs(toStoredXattrs(named, path), attributeSpace, path);
    encodeInodeXattrs(this.#inodes.bytes(inode, attributeOffset, inodeSize), placed.inode);
    if (before) {
      this.#freedBlocks.push({ start: before.block, count: 1 });
      this.#outside.delete(inode);
    }
    if (placed.block.length === 0) return 0;
    const bytes = encodeXattrBlock(placed.block);
    const number = this.#stream.position / blockSize;
    if (this.#checksumSeed !== undefined) sealXattrBlock(bytes, number, this.#checksumSeed);
    this.#stream.append(bytes);
    this.#outside.set(inode, {
      block: number,
      xattrs: placed.block.map((xattr) => ({ ...xattr, value: new Uint8Array(xattr.value) })),
    });
    return number;
  }

  #unlink(inode: number): void {
    const fields = this.#inodes.get(inode);
    this.#lastParent = undefined;
    if (fields.links > 1) {
      this.#inodes.set(inode, { ...fields, links: fields.links - 1 });
      return;
    }
    this.#freedBlocks.push(...this.#blocksOf(inode, fields));
    this.#outside.delete(inode);
    this.#spread.delete(inode);
    this.#longTargets.delete(inode);
    this.#inodes.free(inode);
  }

  #blocksOf(inode: number, { flags, sectors, attributeBlock }: Inode): Range[] {
    const attributes = attributeBlock === 0 ? [] : [{ start: attributeBlock, count: 1 }];
    const count = sectors / sectorsPerBlock - attributes.length;
    if (count === 0 || !(flags & InodeFlag.extents)) return attributes;
    const spread = this.#spread.get(inode);
    if (spread) return [...attributes, spread];
    // The only extent, though it may take several entries: the first has the start.
    const start = this.#inodes
      .view(inode)
      .getUint32(this.#inodes.offset(inode) + blockFieldOffset + 20, true);
    return [...attributes, { start, count }];
  }

  #countSubdirectory(parent: Directory, path: string): void {
    if (parent.subdirectories + 2 >= mostLinks) {
      throw new Ext4Error(
        'PARENT_LINK_LIMIT',
        `Cannot create directory "${path}": its parent has ${mostLinks - 2} already`,
      );
    }
    parent.subdirectories++;
  }

  #target(text: string, path: string): string {
    const target = toByteString(text, this.#encoding);
    if (target.length === 0 || target.length > longestTarget || target.includes('\0')) {
      throw new Ext4Error(
        'INVALID_NAME',
        `Cannot create symlink "${path}": its target has ${target.length} bytes`,
      );
    }
    return target;
  }

  #status(inode: number): FileStatus {
    const { mode, uid, gid, size, links, modified, accessed, changed, created } = this.#inodes.get(inode);
    const type = fileTypeOf(mode) as FileType;
    const directory = this.#directories.get(inode);
    const inside = decodeXattrs(
      this.#inodes.bytes(inode, attributeOffset, inodeSize),
      'inode',
      `inode ${inode}`,
    );
    const stored = [...inside, ...(this.#outside.get(inode)?.xattrs ?? [])];
    const xattrs = new Map<string, Uint8Array>();
    for (const xattr of stored) {
      const plain = isInlineData(xattr) ? undefined : fromStoredXattr(xattr);
      if (plain) xattrs.set(fromByteString(plain[0], this.#encoding), plain[1]);
    }
    const target =
      type === 'symlink' ? { target: fromByteString(this.#readTarget(inode, size), this.#encoding) } : {};
    const device =
      type === 'character' || type === 'block'
        ? decodeDevice(this.#inodes.view(inode), this.#inodes.offset(inode) + blockFieldOffset)
        : {};
    return {
      type,
      inode,
      mode: mode & 0o7777,
      uid,
      gid,
      size,
      links: directory ? directory.subdirectories + 2 : links,
      modified,
      accessed,
      changed,
      created,
      xattrs,
      ...target,
      ...device,
    };
  }

  #readTarget(inode: number, size: number): string {
    const long = this.#longTargets.get(inode);
    if (long !== undefined) return long;
    return Buffer.from(this.#inodes.bytes(inode, blockFieldOffset, blockFieldOffset + size)).toString(
      'latin1',
    );
  }

  #find(path: string): number | undefined {
    let place: { parent: Directory; name: string | undefined };
    try {
      place = this.#locate(path);
    } catch (error) {
      if (error instanceof Ext4Error && error.code === 'PATH_NOT_FOUND') return undefined;
      throw error;
    }
    return place.name === undefined ? place.parent.inode : place.parent.entries.get(place.name);
  }

  /** The directory that a path ends in, and the last name; none for the root. `make` says how to make directories. */
  #locate(path: string, make?: Partial<FileAttributes>): { parent: Directory; name: string | undefined } {
    const bytes = toByteString(path, this.#encoding);
    let end = bytes.length;
    while (end > 0 && bytes.charCodeAt(end - 1) === slash) end--;
    const cut = end === bytes.length ? bytes.lastIndexOf('/') : bytes.lastIndexOf('/', end - 1);
    const name = bytes.slice(cut + 1, end);
    const parentPath = cut < 0 ? '' : bytes.slice(0, cut);
    if (name === '' || name === '.') {
      if (parentPath !== '') return this.#locate(fromByteString(parentPath, this.#encoding), make);
      return { parent: this.#root, name: undefined };
    }
    checkName(name, path);
    if (this.#lastParent?.path !== parentPath) {
      this.#lastParent = { path: parentPath, directory: this.#directoryAt(parentPath, path, make) };
    }
    return { parent: this.#lastParent.directory, name };
  }

  #directoryAt(path: string, subject: string, make: Partial<FileAttributes> | undefined): Directory {
    let here = this.#root;
    let followed = 0;
    const names = path.split('/').reverse();
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..' && followed > 0) {
        here = here.parent;
        continue;
      }
      checkName(name, subject);
      const inode = here.entries.get(name);
      if (inode === undefined) {
        if (!make) throw pathNotFound(subject, `there is no directory "${name}"`);
        here = this.#makeDirectory(here, name, subject, make);
        continue;
      }
      const next = this.#directories.get(inode);
      if (next) {
        here = next;
      } else if (this.#options.followSymlinks && fileTypeOf(this.#inodes.mode(inode)) === 'symlink') {
        if (++followed > mostFollowed) throw pathNotFound(subject, 'it goes through too many symlinks');
        const target = this.#readTarget(inode, this.#inodes.get(inode).size);
        if (target.startsWith('/')) here = this.#root;
        names.push(...target.split('/').reverse());
      } else {
        throw pathNotFound(subject, `"${name}" is no directory`);
      }
    }
    return here;
  }

  #makeDirectory(
    parent: Directory,
    name: string,
    path: string,
    attributes: Partial<FileAttributes>,
  ): Directory {
    this.#countSubdirectory(parent, path);
    const inode = this.#inodes.allocate();
    this.#setAttributes(inode, path, { ...attributes, type: 'directory' });
    const directory = { inode, parent, entries: new Map(), subdirectories: 0 };
    parent.entries.set(ownCopy(name), inode);
    this.#directories.set(inode, directory);
    return directory;
  }

  readonly #directoryEncoder = new DirectoryEncoder((block) => this.#stream.append(block));

  #writeLinear({ inode, parent, entries }: Directory): number {
    const encoder = this.#directoryEncoder;
    encoder.begin(this.#inodeSeed(inode));
    encoder.add('.', inode, 'directory');
    encoder.add('..', parent.inode, 'directory');
    for (const [name, entry] of entries) {
      encoder.add(name, entry, fileTypeOf(this.#inodes.mode(entry)) as FileType);
    }
    return encoder.end();
  }

  /** Returns the number of blocks, or undefined when an index is not wanted, not needed, or would not suffice. */
  #writeIndexed({ inode, parent, entries }: Directory): number | undefined {
    if (!this.#options.indexDirectories) return undefined;
    const checksumSeed = this.#inodeSeed(inode);
    const encoder = this.#directoryEncoder;
    encoder.begin(checksumSeed);
    let bytes = directoryEntrySize('.'.length) + directoryEntrySize('..'.length);
    for (const name of entries.keys()) bytes += directoryEntrySize(name.length);
    if (bytes <= encoder.capacity) return undefined;
    const index = indexNames(entries.keys(), this.#nameHash, encoder.capacity);
    const blocks = encodeIndex(index, { inode, parent: parent.inode, checksumSeed });
    if (!blocks) return undefined;
    for (const block of blocks) this.#stream.append(block);
    for (const name of index.names) {
      const entry = entries.get(name)!;
      encoder.add(name, entry, fileTypeOf(this.#inodes.mode(entry)) as FileType);
    }
    return blocks.length + encoder.end();
  }

  #writeDirectory(directory: Directory): void {
    const { inode, subdirectories } = directory;
    const physical = this.#stream.position / blockSize;
    const indexed = this.#writeIndexed(directory);
    const blocks = indexed ?? this.#writeLinear(directory);
    const fields = { ...this.#inodes.get(inode), links: subdirectories + 2 };
    const file = { path: '', inode, size: blocks * blockSize, firstBlock: physical };
    this.#mapContent(file, fields, [{ logical: 0, physical, blocks }], indexed ? InodeFlag.index : 0);
  }

  #writeGroups(plan: GroupPlan): Ext4Image {
    const { groups, inodesPerGroup, blocks } = plan;
    const usedDescriptorBlocks = Math.ceil((groups * groupDescriptorSize) / blockSize);
    const freeBlockRanges = mergeRanges([
      { start: 1 + usedDescriptorBlocks, count: this.#descriptorBlocks - usedDescriptorBlocks },
      ...this.#freedBlocks,
      { start: plan.end, count: blocks - plan.end },
    ]);
    const freeInodeRanges = mergeRanges([
      ...this.#inodes.freed.map((number) => ({ start: number, count: 1 })),
      { start: this.#inodes.last + 1, count: groups * inodesPerGroup - this.#inodes.last },
    ]);
    const directories = new Uint32Array(groups);
    for (const inode of this.#directories.keys()) directories[Math.floor((inode - 1) / inodesPerGroup)]!++;
    const descriptors = new Uint8Array(usedDescriptorBlocks * blockSize);
    const blockBits = new BitmapEncoder(freeBlockRanges);
    const inodeBits = new BitmapEncoder(freeInodeRanges);
    const bitmaps = new ImageStream(this.#output, plan.bitmaps * blockSize, this.#maximumDiskSize);
    const checked = this.#checksumSeed !== undefined || (this.#options.groupChecksums ?? false);
    let freeBlocks = 0;
    let freeInodes = 0;
    for (let group = 0; group < groups; group++) {
      const firstBlock = group * blocksPerGroup;
      const free = blockBits.encode(firstBlock, Math.min(blocksPerGroup, blocks - firstBlock));
      const inodesFree = inodeBits.encode(group * inodesPerGroup + 1, inodesPerGroup);
      // The last group may be smaller, which only its bitmap says.
      const noBlocks = checked && free === blocksPerGroup && group < groups - 1;
      const noInodes = checked && inodesFree === inodesPerGroup;
      if (noBlocks) bitmaps.hole(blockSize);
      else bitmaps.append(blockBits.bitmap);
      if (noInodes) bitmaps.hole(blockSize);
      else bitmaps.append(inodeBits.bitmap);
      freeBlocks += free;
      freeInodes += inodesFree;
      const descriptor = {
        blockBitmap: plan.bitmaps + 2 * group,
        inodeBitmap: plan.bitmaps + 2 * group + 1,
        inodeTable: plan.inodeTables + (group * inodesPerGroup * inodeSize) / blockSize,
        freeBlocks: free,
        freeInodes: inodesFree,
        directories: directories[group]!,
      };
      const checksums = checked
        ? {
            kind: this.#checksumSeed === undefined ? { uuid: this.#uuid } : { seed: this.#checksumSeed },
            blockBitmap: noBlocks ? undefined : blockBits.bitmap,
            inodeBitmap: noInodes ? undefined : inodeBits.bitmap,
            inodesPerGroup,
            unusedInodes: Math.min(
              inodesPerGroup,
              Math.max(0, (group + 1) * inodesPerGroup - this.#inodes.last),
            ),
          }
        : undefined;
      encodeGroupDescriptor(descriptors, group * groupDescriptorSize, group, descriptor, checksums);
    }
    bitmaps.end();
    const size = blocks * blockSize;
    const image = { size, blocks, freeBlocks, inodes: groups * inodesPerGroup, freeInodes };
    this.#output.setSize(size);
    this.#output.write(descriptors, blockSize);
    this.#output.write(this.#superblock(image, inodesPerGroup), superblockOffset);
    return image;
  }

  #superblock({ blocks, freeBlocks, inodes, freeInodes }: Ext4Image, inodesPerGroup: number): Uint8Array {
    const {
      inlineData,
      metadataChecksums,
      groupChecksums,
      indexDirectories,
      journalSize,
      readOnly = true,
      label = '',
      time = 0,
    } = this.#options;
    const { sparseSuper2, extendedAttributes } = Compat;
    const { fileType, extents, flexibleGroups } = Incompat;
    const { largeFile, hugeFile, extraInodeSize } = ReadOnlyCompat;
    const fields = {
      inodes,
      blocks,
      freeBlocks,
      freeInodes,
      firstBlock: 0,
      blockSize,
      blocksPerGroup,
      inodesPerGroup,
      inodeSize,
      compat:
        sparseSuper2 |
        extendedAttributes |
        (journalSize === undefined ? 0 : Compat.journal) |
        (indexDirectories ? Compat.directoryIndex : 0),
      incompat: fileType | extents | flexibleGroups | (inlineData ? Incompat.inlineData : 0),
      readOnlyCompat:
        largeFile |
        hugeFile |
        extraInodeSize |
        (readOnly ? ReadOnlyCompat.readOnly : 0) |
        (metadataChecksums
          ? ReadOnlyCompat.metadataChecksums
          : groupChecksums
            ? ReadOnlyCompat.groupChecksums
            : 0),
      uuid: this.#uuid,
      label: toByteString(label, this.#encoding),
      hashSeed: this.#uuid,
      descriptorSize: groupDescriptorSize,
      madeAt: time,
    };
    if (journalSize === undefined) return encodeSuperblock(fields);
    const blockField = this.#inodes.bytes(journalInode, blockFieldOffset, blockFieldOffset + blockFieldSize);
    return encodeSuperblock(fields, { inode: journalInode, blockField, size: journalSize });
  }
}

const slash = 0x2f;

/** A part of a longer string would keep all of that in memory. */
function ownCopy(name: string): string {
  return Buffer.from(name, 'latin1').toString('latin1');
}

function checkFile(file: NewFile, path: string): void {
  const { uid = 0, gid = 0 } = file;
  for (const id of [uid, gid]) {
    if (!Number.isInteger(id) || id < 0 || id > 0xffffffff) {
      throw new Ext4Error('INVALID_OPTION', `Cannot create "${path}": ${id} is no owner`);
    }
  }
  if (file.type === 'file') {
    const { size = 0 } = file;
    if (!Number.isSafeInteger(size) || size < 0 || size > largestFile) {
      throw new Ext4Error('FILE_TOO_BIG', `Cannot create file "${path}": ext4 has no files of ${size} bytes`);
    }
  }
  if (file.type === 'character' || file.type === 'block') {
    const { major, minor } = file;
    if (!(major >= 0 && major <= largestMajor && minor >= 0 && minor <= largestMinor)) {
      throw new Ext4Error(
        'INVALID_OPTION',
        `Cannot create device "${path}": there is no number ${major}:${minor}`,
      );
    }
  }
}

function parseUuid(uuid: string | undefined): Uint8Array {
  if (uuid === undefined) return new Uint8Array(16);
  const digits = uuid.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(digits)) {
    throw new Ext4Error(
      'INVALID_OPTION',
      `Cannot give the image the UUID "${uuid}": it is not 32 hexadecimal digits`,
    );
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

function pathNotFound(path: string, problem: string): Ext4Error {
  return new Ext4Error('PATH_NOT_FOUND', `Cannot find path "${path}": ${problem}, make its parents first`);
}
