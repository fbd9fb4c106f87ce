import { crc32c, crc32cWord } from './crc32c.ts';
import { Ext4Error } from './ext4-error.ts';
import { blockSize } from './layout.ts';
import { aclFromDisk, aclToDisk } from './posix-acl.ts';

/*
 * Extended attributes. Entries grow from the front, values from the back, four zero bytes end the entries. They are
 * in an inode behind a magic number, and what does not fit is in a block of its own behind a head of 32 bytes:
 *
 *   0       4            8        12     16         32
 *   +-------+------------+--------+------+----------+--------- ... ---------+------ ... -----+
 *   | magic | references | blocks | hash | checksum | entries → 0           | ← values       |
 *   +-------+------------+--------+------+----------+--------- ... ---------+------ ... -----+
 *
 *   entry   0        1        2        4         8        12      16
 *           +--------+--------+--------+---------+--------+-------+---------------+
 *           | length | prefix | value  | value's | value  | hash  | name without  |
 *           | of name| number | offset | inode   | size   |       | prefix, to 4  |
 *           +--------+--------+--------+---------+--------+-------+---------------+
 *
 * Offsets of values count from the first entry in an inode, from the start in a block.
 */

const magic = 0xea020000;
const blockHeadSize = 32;
const entryHeadSize = 16;
const terminatorSize = 4;

/** Longer prefixes first, so that the first match is the right one. */
const prefixes: readonly (readonly [number, string])[] = [
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [8, 'system.richacl'],
  [7, 'system.'],
  [6, 'security.'],
  [4, 'trusted.'],
  [1, 'user.'],
];
const aclPrefixes = new Set([2, 3]);

const inlineDataPrefix = 7;
const inlineDataSuffix = 'data';

/** An attribute as it is stored. `suffix` is a byte string. */
export interface StoredXattr {
  prefix: number;
  suffix: string;
  value: Uint8Array;
}

/** The attribute that the second part of inline data is in; it must be there even when empty. */
export function inlineDataXattr(value: Uint8Array): StoredXattr {
  return { prefix: inlineDataPrefix, suffix: inlineDataSuffix, value };
}

export function isInlineData({ prefix, suffix }: StoredXattr): boolean {
  return prefix === inlineDataPrefix && suffix === inlineDataSuffix;
}

/** Sorts attributes and gives them their numbers. `subject` is the file that they are of. */
export function toStoredXattrs(xattrs: ReadonlyMap<string, Uint8Array>, subject: string): StoredXattr[] {
  const stored: StoredXattr[] = [];
  for (const [name, value] of xattrs) {
    const known = prefixes.find(([number, text]) =>
      aclPrefixes.has(number) ? name === text : name.startsWith(text),
    );
    const [prefix, text] = known ?? [0, ''];
    const suffix = name.slice(text.length);
    if (
      !known ||
      suffix.length > 255 ||
      (suffix === '' && !aclPrefixes.has(prefix) && prefix !== 8) ||
      suffix.includes('\0')
    ) {
      throw new Ext4Error(
        'XATTR_TOO_LARGE',
        `Cannot store attribute ${JSON.stringify(name)} of "${subject}": ext4 has no such name`,
      );
    }
    if (prefix === inlineDataPrefix && suffix === inlineDataSuffix) {
      throw new Ext4Error(
        'XATTR_TOO_LARGE',
        `Cannot store attribute "${name}" of "${subject}": ext4 uses it itself`,
      );
    }
    stored.push({ prefix, suffix, value: aclPrefixes.has(prefix) ? aclToDisk(value, subject) : value });
  }
  return stored.sort(byName);
}

function byName(one: StoredXattr, other: StoredXattr): number {
  return (
    one.prefix - other.prefix ||
    one.suffix.length - other.suffix.length ||
    (one.suffix < other.suffix ? -1 : one.suffix > other.suffix ? 1 : 0)
  );
}

/** The full name and the value as a system call gives them. */
export function fromStoredXattr(stored: StoredXattr): [name: string, value: Uint8Array] | undefined {
  const text = prefixes.find(([number]) => number === stored.prefix)?.[1];
  if (text === undefined) return undefined;
  return [text + stored.suffix, aclPrefixes.has(stored.prefix) ? aclFromDisk(stored.value) : stored.value];
}

/** What the attribute takes beside others. */
function footprint({ suffix, value }: StoredXattr): number {
  return roundUp(entryHeadSize + suffix.length) + roundUp(value.length);
}

/** How many bytes of inline data go into an inode's `space` for attributes. */
export function inlineDataCapacity(space: number): number {
  return Math.max(0, space - 4 - terminatorSize - entryHeadSize - inlineDataSuffix.length);
}

/** Divides attributes into those that fit an inode's `space` and those for a block. Throws XATTR_TOO_LARGE. */
export function placeXattrs(
  xattrs: readonly StoredXattr[],
  space: number,
  subject: string,
): { inode: StoredXattr[]; block: StoredXattr[] } {
  const inode: StoredXattr[] = [];
  const block: StoredXattr[] = [];
  let left = space - 4 - terminatorSize;
  let leftInBlock = blockSize - blockHeadSize - terminatorSize;
  for (const xattr of xattrs) {
    const size = footprint(xattr);
    if (size <= left) {
      left -= size;
      inode.push(xattr);
    } else {
      leftInBlock -= size;
      block.push(xattr);
    }
  }
  if (leftInBlock < 0) {
    throw new Ext4Error(
      'XATTR_TOO_LARGE',
      `Cannot store the attributes of "${subject}": they need ${-leftInBlock} bytes more than ext4 has`,
    );
  }
  return { inode, block };
}

/** Fills an inode's space, from its magic number to the end of the inode. */
export function encodeInodeXattrs(space: Uint8Array, xattrs: readonly StoredXattr[]): void {
  space.fill(0);
  if (xattrs.length === 0) return;
  const view = Buffer.from(space.buffer, space.byteOffset, space.byteLength);
  view.writeUInt32LE(magic, 0);
  // Hashes are for finding equal blocks; in an inode the kernel writes none.
  encodeEntries(view, 4, 4, xattrs, false);
}

export function encodeXattrBlock(xattrs: readonly StoredXattr[]): Uint8Array {
  const bytes = Buffer.alloc(blockSize);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt32LE(encodeEntries(bytes, blockHeadSize, 0, xattrs, true), 12);
  return bytes;
}

/** Puts the checksum into a block, with zeros in its place, that goes to number `block` of the disk. */
export function sealXattrBlock(bytes: Uint8Array, block: number, seed: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(16, blockChecksum(bytes, block, seed), true);
}

export function xattrBlockChecksumFits(bytes: Uint8Array, block: number, seed: number): boolean {
  const copy = Uint8Array.from(bytes);
  copy.fill(0, 16, 20);
  return (
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(16, true) === blockChecksum(copy, block, seed)
  );
}

function blockChecksum(bytes: Uint8Array, block: number, seed: number): number {
  return crc32c(crc32cWord(crc32cWord(seed, block), Math.floor(block / 2 ** 32)), bytes);
}

function encodeEntries(
  bytes: Buffer,
  first: number,
  valuesFrom: number,
  xattrs: readonly StoredXattr[],
  hashed: boolean,
): number {
  let at = first;
  let value = bytes.length;
  let combined = 0;
  for (const xattr of xattrs) {
    value -= roundUp(xattr.value.length);
    bytes.set(xattr.value, value);
    bytes[at] = xattr.suffix.length;
    bytes[at + 1] = xattr.prefix;
    bytes.writeUInt16LE(xattr.value.length === 0 ? 0 : value - valuesFrom, at + 2);
    bytes.writeUInt32LE(xattr.value.length, at + 8);
    bytes.write(xattr.suffix, at + entryHeadSize, 'latin1');
    if (hashed) {
      const hash = hashOf(xattr.suffix, bytes.subarray(value, value + roundUp(xattr.value.length)));
      bytes.writeUInt32LE(hash, at + 12);
      combined = ((combined << 16) ^ (combined >>> 16) ^ hash) >>> 0;
    }
    at += roundUp(entryHeadSize + xattr.suffix.length);
  }
  return combined;
}

/** Of a name's characters (signed, as on x86) and a value's words, filled up with zeros. */
function hashOf(suffix: string, value: Buffer): number {
  let hash = 0;
  for (let index = 0; index < suffix.length; index++) {
    hash = (hash << 5) ^ (hash >>> 27) ^ ((suffix.charCodeAt(index) << 24) >> 24);
  }
  for (let at = 0; at < value.length; at += 4) hash = (hash << 16) ^ (hash >>> 16) ^ value.readUInt32LE(at);
  return hash >>> 0;
}

/**
 * Attributes in an inode's space (from its magic number on) or in a block. Throws CORRUPT, and UNSUPPORTED for a
 * value in an inode of its own; `subject` says where.
 */
export function decodeXattrs(bytes: Uint8Array, place: 'inode' | 'block', subject: string): StoredXattr[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const problem = (field: string, detail: string): Ext4Error =>
    new Ext4Error('CORRUPT', `Cannot read the attributes in ${subject}: field "${field}": ${detail}`);
  if (view.length < 8 || view.readUInt32LE(0) !== magic) {
    if (place === 'inode') return [];
    throw problem('h_magic', 'it is not that of an attribute block');
  }
  const first = place === 'inode' ? 4 : blockHeadSize;
  const valuesFrom = place === 'inode' ? 4 : 0;
  const found: StoredXattr[] = [];
  let left = view.length;
  for (let at = first; ; ) {
    if (at + terminatorSize > view.length) throw problem('e_name_len', 'the entries have no end');
    if (view.readUInt32LE(at) === 0) return found;
    const nameLength = view[at]!;
    const nameEnd = at + entryHeadSize + nameLength;
    if (nameEnd > view.length) throw problem('e_name_len', `entry at ${at} goes past the end`);
    const valueInode = view.readUInt32LE(at + 4);
    if (valueInode !== 0) {
      throw new Ext4Error(
        'UNSUPPORTED',
        `Cannot read the attributes in ${subject}: a value is in inode ${valueInode}`,
      );
    }
    const size = view.readUInt32LE(at + 8);
    const start = valuesFrom + view.readUInt16LE(at + 2);
    if (size > 0 && start + size > view.length)
      throw problem('e_value_offs', `entry at ${at} has its value past the end`);
    // Values share no bytes: together they are no larger than what they are in.
    left -= size;
    if (left < 0) throw problem('e_value_size', `entry at ${at} has more bytes than are left`);
    found.push({
      prefix: view[at + 1]!,
      suffix: view.toString('latin1', at + entryHeadSize, nameEnd),
      value: size === 0 ? new Uint8Array() : new Uint8Array(view.subarray(start, start + size)),
    });
    at = roundUp(nameEnd);
  }
}

function roundUp(size: number): number {
  return (size + 3) & ~3;
}
