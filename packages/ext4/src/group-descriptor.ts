import { crc16 } from './crc16.ts';
import { crc32c, crc32cWord } from './crc32c.ts';
import { groupDescriptorSize } from './layout.ts';

/*
 * What describes a group, 32 bytes, or 64 with the feature 64bit (upper halves from 32 on), little-endian:
 *
 *   0        4        8       12      14      16     18      20        24         26         28       30
 *   +--------+--------+-------+-------+-------+------+-------+---------+----------+----------+--------+----------+
 *   | block  | inode  | inode | free  | free  | dir- | flags | snap-   | checksum | checksum | unused | checksum |
 *   | bitmap | bitmap | table | blocks| inodes| ecto-|       | shots   | of block | of inode | inodes | of this  |
 *   |        |        |       |       |       | ries |       |         | bitmap   | bitmap   |        |          |
 *   +--------+--------+-------+-------+-------+------+-------+---------+----------+----------+--------+----------+
 */

const GroupFlag = {
  /** No inode of the group is in use, and its bitmap was not written. */
  noInodes: 0x1,
  /** The same of blocks. */
  noBlocks: 0x2,
  /** The inode table has been zeroed; with checksums a kernel would otherwise do it in the background. */
  tableZeroed: 0x4,
} as const;

export interface GroupDescriptor {
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  freeBlocks: number;
  freeInodes: number;
  directories: number;
}

/** What checksums are made with. A bitmap that was not written is undefined. */
export interface GroupChecksums {
  /** `metadata_csum` is over all metadata, the older `gdt_csum` over descriptors alone. */
  kind: { seed: number } | { uuid: Uint8Array };
  blockBitmap: Uint8Array | undefined;
  inodeBitmap: Uint8Array | undefined;
  inodesPerGroup: number;
  /** Inodes at the end of the group that were never in use. */
  unusedInodes: number;
}

export function encodeGroupDescriptor(
  into: Uint8Array,
  at: number,
  group: number,
  fields: GroupDescriptor,
  checksums?: GroupChecksums,
): void {
  const bytes = Buffer.from(into.buffer, into.byteOffset + at, groupDescriptorSize);
  bytes.writeUInt32LE(fields.blockBitmap, 0);
  bytes.writeUInt32LE(fields.inodeBitmap, 4);
  bytes.writeUInt32LE(fields.inodeTable, 8);
  bytes.writeUInt16LE(fields.freeBlocks, 12);
  bytes.writeUInt16LE(fields.freeInodes, 14);
  bytes.writeUInt16LE(fields.directories, 16);
  if (!checksums) return;
  const { kind, blockBitmap, inodeBitmap, inodesPerGroup, unusedInodes } = checksums;
  const { tableZeroed, noBlocks, noInodes } = GroupFlag;
  bytes.writeUInt16LE(tableZeroed | (blockBitmap ? 0 : noBlocks) | (inodeBitmap ? 0 : noInodes), 18);
  bytes.writeUInt16LE(unusedInodes, 28);
  if ('seed' in kind) {
    const { seed } = kind;
    if (blockBitmap) bytes.writeUInt16LE(crc32c(seed, blockBitmap) & 0xffff, 24);
    if (inodeBitmap) bytes.writeUInt16LE(crc32c(seed, inodeBitmap, 0, inodesPerGroup / 8) & 0xffff, 26);
    bytes.writeUInt16LE(crc32c(crc32cWord(seed, group), bytes) & 0xffff, 30);
  } else {
    const number = Buffer.alloc(4);
    number.writeUInt32LE(group);
    bytes.writeUInt16LE(crc16(crc16(crc16(0xffff, kind.uuid), number), bytes.subarray(0, 30)), 30);
  }
}

export function decodeGroupDescriptor(from: Uint8Array, size: number): GroupDescriptor {
  const bytes = Buffer.from(from.buffer, from.byteOffset, size);
  const wide = size >= 64;
  const word = (low: number, high: number): number =>
    bytes.readUInt32LE(low) + (wide ? bytes.readUInt32LE(high) * 2 ** 32 : 0);
  const half = (low: number, high: number): number =>
    bytes.readUInt16LE(low) + (wide ? bytes.readUInt16LE(high) * 2 ** 16 : 0);
  return {
    blockBitmap: word(0, 32),
    inodeBitmap: word(4, 36),
    inodeTable: word(8, 40),
    freeBlocks: half(12, 44),
    freeInodes: half(14, 46),
    directories: half(16, 48),
  };
}
