import { crc32c, crc32cWord } from './crc32c.ts';
import type { FileTime } from './layout.ts';

/*
 * An inode of 256 bytes, little-endian. The words after 128 exist when the inode says so, and what they leave is
 * for extended attributes:
 *
 *   0      2     4        8           20      24    26      28       32      40
 *   +------+-----+--------+-----------+-------+-----+-------+--------+-------+---------------------------+
 *   | mode | uid | size   | accessed, | dele- | gid | links | blocks | flags | 60 bytes: extents, target |
 *   |      |     |        | changed,  | ted   |     |       | of 512 |       | of a link, device number  |
 *   |      |     |        | modified  |       |     |       | bytes  |       | or inline data            |
 *   +------+-----+--------+-----------+-------+-----+-------+--------+-------+---------------------------+
 *   100          104         108    116      118         120   122   124        128     130
 *   +------------+-----------+------+--------+-----------+-----+-----+----------+-------+----------+
 *   | generation | attribute | size | blocks | attribute | uid | gid | checksum | extra | checksum |
 *   |            | block     | high | high   | block high| high| high| low      | size  | high     |
 *   +------------+-----------+------+--------+-----------+-----+-----+----------+-------+----------+
 *   132       136        140        144       148       152
 *   +---------+----------+----------+---------+---------+--------------------------------+
 *   | changed | modified | accessed | created | created | extended attributes            |
 *   | extra   | extra    | extra    |         | extra   |                                |
 *   +---------+----------+----------+---------+---------+--------------------------------+
 *
 * The extra word of a time has two more bits of seconds, then nanoseconds.
 */

export const blockFieldOffset = 40;
export const blockFieldSize = 60;
/** Where extended attributes begin in an inode of ours. */
export const attributeOffset = 152;

const extraSize = 24;

export interface Inode {
  /** With type bits. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  links: number;
  flags: number;
  /** Blocks of 512 bytes that the file takes, with its extent and attribute blocks. */
  sectors: number;
  /** Block with extended attributes; 0 for none. */
  attributeBlock: number;
  accessed: FileTime;
  changed: FileTime;
  modified: FileTime;
  created: FileTime;
}

const two32 = 2 ** 32;

/** Writes all but the 60 bytes of the block field and the attributes, which keep what they have. */
export function encodeInode(view: DataView, at: number, inode: Inode): void {
  view.setUint16(at, inode.mode, true);
  view.setUint16(at + 2, inode.uid & 0xffff, true);
  view.setUint32(at + 4, inode.size % two32, true);
  view.setUint16(at + 24, inode.gid & 0xffff, true);
  view.setUint16(at + 26, inode.links, true);
  view.setUint32(at + 28, inode.sectors % two32, true);
  view.setUint32(at + 32, inode.flags, true);
  view.setUint32(at + 104, inode.attributeBlock, true);
  view.setUint32(at + 108, Math.floor(inode.size / two32), true);
  view.setUint16(at + 116, Math.floor(inode.sectors / two32), true);
  view.setUint16(at + 120, inode.uid >>> 16, true);
  view.setUint16(at + 122, inode.gid >>> 16, true);
  view.setUint16(at + 128, extraSize, true);
  encodeTime(view, at + 8, at + 140, inode.accessed);
  encodeTime(view, at + 12, at + 132, inode.changed);
  encodeTime(view, at + 16, at + 136, inode.modified);
  encodeTime(view, at + 144, at + 148, inode.created);
}

const earliest = -(2 ** 31);
const latest = 2 ** 34 - 2 ** 31 - 1;

function encodeTime(view: DataView, at: number, extra: number, { seconds, nanoseconds }: FileTime): void {
  if (seconds < earliest) {
    view.setUint32(at, 0x80000000, true);
    view.setUint32(extra, 0, true);
    return;
  }
  const known = Math.min(seconds, latest);
  view.setInt32(at, known | 0, true);
  const epoch = Math.round((known - (known | 0)) / two32);
  view.setUint32(extra, ((nanoseconds << 2) | epoch) >>> 0, true);
}

/** Reads an inode of `size` bytes. Takes any bytes; what they mean is for the caller to judge. */
export function decodeInode(view: DataView, at: number, size: number): Inode {
  const extra = size > 128 ? Math.min(view.getUint16(at + 128, true), size - 128) : 0;
  const uid = view.getUint16(at + 2, true) + view.getUint16(at + 120, true) * 65536;
  const gid = view.getUint16(at + 24, true) + view.getUint16(at + 122, true) * 65536;
  const time = (offset: number, extraOffset: number): FileTime =>
    decodeTime(view, at + offset, extra + 128 >= extraOffset + 4 ? at + extraOffset : undefined);
  const changed = time(12, 132);
  return {
    mode: view.getUint16(at, true),
    uid,
    gid,
    size: view.getUint32(at + 4, true) + view.getUint32(at + 108, true) * two32,
    links: view.getUint16(at + 26, true),
    flags: view.getUint32(at + 32, true),
    sectors: view.getUint32(at + 28, true) + view.getUint16(at + 116, true) * two32,
    attributeBlock: view.getUint32(at + 104, true) + view.getUint16(at + 118, true) * two32,
    accessed: time(8, 140),
    changed,
    modified: time(16, 136),
    created: extra + 128 >= 148 ? time(144, 148) : changed,
  };
}

function decodeTime(view: DataView, at: number, extra: number | undefined): FileTime {
  const low = view.getInt32(at, true);
  const more = extra === undefined ? 0 : view.getUint32(extra, true);
  return { seconds: low + (more & 3) * two32, nanoseconds: more >>> 2 };
}

/** What checksums of an inode and of blocks that belong to it begin with. */
export function inodeSeed(seed: number, inode: number, generation = 0): number {
  return crc32cWord(crc32cWord(seed, inode), generation);
}

/** Puts the checksum into an inode of ours. */
export function sealInode(bytes: Uint8Array, at: number, size: number, seed: number, inode: number): void {
  bytes[at + 124] = bytes[at + 125] = bytes[at + 130] = bytes[at + 131] = 0;
  const checksum = crc32c(inodeSeed(seed, inode), bytes, at, at + size);
  bytes[at + 124] = checksum;
  bytes[at + 125] = checksum >>> 8;
  bytes[at + 130] = checksum >>> 16;
  bytes[at + 131] = checksum >>> 24;
}

/*
 * Device numbers: in the first word as 8 bits major, 8 bits minor where both fit, else in the second as
 * minor 0-7, major, minor 8-19 from the lowest bit on (linux, include/linux/kdev_t.h).
 */
export function encodeDevice(view: DataView, at: number, major: number, minor: number): void {
  if (major < 256 && minor < 256) {
    view.setUint32(at, (major << 8) | minor, true);
    view.setUint32(at + 4, 0, true);
  } else {
    view.setUint32(at, 0, true);
    view.setUint32(at + 4, ((minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)) >>> 0, true);
  }
}

export function decodeDevice(view: DataView, at: number): { major: number; minor: number } {
  const old = view.getUint32(at, true);
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
  const word = view.getUint32(at + 4, true);
  return { major: (word >>> 8) & 0xfff, minor: (word & 0xff) | ((word >>> 12) & 0xfff00) };
}
