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

/** The inode table has been zeroed; with checksums a kernel would otherwise do it in the background. */
const tableZeroed = 0x4;

export interface GroupDescriptor {
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  freeBlocks: number;
  freeInodes: number;
  directories: number;
}

/** What checksums are made with: the file system's seed, and the bitmaps that they are of. */
export interface GroupChecksums {
  seed: number;
  blockBitmap: Uint8Array;
  inodeBitmap: Uint8Array;
  inodesPerGroup: number;
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
  const { seed, blockBitmap, inodeBitmap, inodesPerGroup } = checksums;
  bytes.writeUInt16LE(tableZeroed, 18);
  bytes.writeUInt16LE(crc32c(seed, blockBitmap) & 0xffff, 24);
  bytes.writeUInt16LE(crc32c(seed, inodeBitmap, 0, inodesPerGroup / 8) & 0xffff, 26);
  bytes.writeUInt16LE(crc32c(crc32cWord(seed, group), bytes) & 0xffff, 30);
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
