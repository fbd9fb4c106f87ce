/*
 * ext4 as this package writes it (linux, Documentation/filesystems/ext4), in blocks of 4096 bytes:
 *
 *   0            1              1 + reserved
 *   +------------+--------------+----------------------+-------------+--------------+-----------------+
 *   | superblock | group        | content, extended    | directories | inode tables | bitmaps: blocks |
 *   | at 1024    | descriptors  | attributes, extents  |             | group after  | and inodes of   |
 *   |            |              | in order of arrival  |             | group        | each group      |
 *   +------------+--------------+----------------------+-------------+--------------+-----------------+
 *
 * All but the first part is written from front to back. How many groups there are is known only at the end, so
 * the place of the descriptors is reserved for the largest allowed image, and flex_bg lets all tables and bitmaps
 * lie together behind the data. No group has a copy of the superblock (sparse_super2 with no backup groups).
 */

export const blockSize = 4096;
export const blocksPerGroup = 8 * blockSize;
export const inodeSize = 256;
export const inodesPerBlock = blockSize / inodeSize;
export const mostInodesPerGroup = 8 * blockSize;
/** Of the short form, without the feature 64bit. */
export const groupDescriptorSize = 32;

export const rootInode = 2;
/** The first that is not reserved for the file system itself; it is `lost+found`'s, if there is one. */
export const firstFreeInode = 11;

/** Block numbers, and the count of blocks, have 32 bits without the feature 64bit. */
export const largestDisk = (2 ** 32 - 1) * blockSize;
export const longestName = 255;
/** PATH_MAX without its NUL. */
export const longestTarget = 4095;
/** A longer target than this is content of its own. */
export const longestInlineTarget = 59;
export const mostLinks = 65000;

export const Compat = {
  journal: 0x4,
  extendedAttributes: 0x8,
  directoryIndex: 0x20,
  sparseSuper2: 0x200,
} as const;

export const Incompat = {
  compression: 0x1,
  fileType: 0x2,
  recover: 0x4,
  journalDevice: 0x8,
  metaGroups: 0x10,
  extents: 0x40,
  sixtyFourBit: 0x80,
  multiMountProtection: 0x100,
  flexibleGroups: 0x200,
  attributeInodes: 0x400,
  checksumSeed: 0x2000,
  largeDirectory: 0x4000,
  inlineData: 0x8000,
  encryption: 0x10000,
  casefold: 0x20000,
} as const;

export const ReadOnlyCompat = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  groupChecksums: 0x10,
  directoryLinks: 0x20,
  extraInodeSize: 0x40,
  metadataChecksums: 0x400,
  readOnly: 0x1000,
} as const;

export const InodeFlag = {
  index: 0x1000,
  hugeFile: 0x40000,
  extents: 0x80000,
  attributeValue: 0x200000,
  inlineData: 0x10000000,
} as const;

export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

/** The type bits of a mode (`sys/stat.h`). */
export const typeBits: Readonly<Record<FileType, number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const typesByBits = new Map(Object.entries(typeBits).map(([type, bits]) => [bits, type as FileType]));

/** The type in a mode; undefined when it has none that exists. */
export function fileTypeOf(mode: number): FileType | undefined {
  return typesByBits.get(mode & 0o170000);
}

/** A point in time: whole seconds from the Unix epoch, and nanoseconds (0 to 999999999) after them. */
export interface FileTime {
  seconds: number;
  nanoseconds: number;
}

const billion = 1_000_000_000n;

export function timeFromNanoseconds(nanoseconds: bigint): FileTime {
  const fraction = ((nanoseconds % billion) + billion) % billion;
  return { seconds: Number((nanoseconds - fraction) / billion), nanoseconds: Number(fraction) };
}

export function nanosecondsOf({ seconds, nanoseconds }: FileTime): bigint {
  return BigInt(seconds) * billion + BigInt(nanoseconds);
}

/** What files of every type have. */
export interface FileAttributes {
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** ext4 knows times from 1901 to 2446; one outside becomes the nearest of these. */
  modified: FileTime;
  accessed: FileTime;
  changed: FileTime;
  created: FileTime;
  /** By full name, such as `user.note`. */
  xattrs: ReadonlyMap<string, Uint8Array>;
}

/** What is known of a file in an image. */
export interface FileStatus extends FileAttributes {
  type: FileType;
  inode: number;
  links: number;
  size: number;
  /** Of a symlink. */
  target?: string;
  /** Of a device. */
  major?: number;
  minor?: number;
}
