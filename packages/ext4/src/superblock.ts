import type { SeekableInput } from './byte-storage.ts';
import { crc32c } from './crc32c.ts';
import { Ext4Error } from './ext4-error.ts';
import { Incompat, ReadOnlyCompat } from './layout.ts';

/*
 * The superblock, 1024 bytes at byte 1024 of the disk, little-endian:
 *
 *   0        4        8         12      16      20       24       28       32      36       40
 *   +--------+--------+---------+-------+-------+--------+--------+--------+-------+--------+----------
 *   | inodes | blocks | root's  | free  | free  | first  | log2 of block    | per group:     | inodes
 *   |        | (low)  | reserve | blocks| inodes| block  | size - 10 (twice)| blocks (twice) | per group
 *   +--------+--------+---------+-------+-------+--------+--------+--------+-------+--------+----------
 *   44     52      56      58      60       64      76        84      88     90     92       96         100
 *   +------+-------+-------+-------+--------+-------+---------+-------+------+------+--------+----------+-----------
 *   | times| mount | magic | clean | errors | check | revision| first | inode| ...  | compat | incompat | read-only
 *   |      | counts| EF53  | 1     | 1      | times | 1       | inode | size |      |        | features | compat
 *   +------+-------+-------+-------+--------+-------+---------+-------+------+------+--------+----------+-----------
 *   104    120     136       236         254          264      348            352     372         588       1020
 *   +------+-------+---------+-----------+------------+--------+--------------+-------+-----------+---------+--------+
 *   | uuid | label | ...     | hash seed | descriptor | made   | extra inode  | flags | log2 of   | backup  | check- |
 *   |      |       |         | of htrees | size       | at     | size (twice) |       | flex size | groups  | sum    |
 *   +------+-------+---------+-----------+------------+--------+--------------+-------+-----------+---------+--------+
 */

export const superblockOffset = 1024;
const superblockSize = 1024;

const magic = 0xef53;
/** The checksums are CRC-32C; the format knows no other. */
const crc32cType = 1;
const extraInodeSize = 24;

export interface Superblock {
  inodes: number;
  blocks: number;
  freeBlocks: number;
  freeInodes: number;
  /** The block that the superblock is in. */
  firstBlock: number;
  blockSize: number;
  blocksPerGroup: number;
  inodesPerGroup: number;
  inodeSize: number;
  compat: number;
  incompat: number;
  readOnlyCompat: number;
  /** 16 bytes. */
  uuid: Uint8Array;
  /** At most 16 bytes. */
  label: string;
  /** 16 bytes. */
  hashSeed: Uint8Array;
  /** Of a group descriptor, in bytes. */
  descriptorSize: number;
  /** With meta_bg, from this block of descriptors on each is in the groups that it describes. */
  firstMetaGroup: number;
  /** Seconds from the Unix epoch. */
  madeAt: number;
  /** What checksums of metadata begin with. */
  checksumSeed: number;
}

/** Where the journal is, for who has lost its inode. */
export interface JournalPlace {
  inode: number;
  /** The 60 bytes of its block field. */
  blockField: Uint8Array;
  size: number;
}

export function encodeSuperblock(
  fields: Omit<Superblock, 'checksumSeed' | 'firstMetaGroup'>,
  journal?: JournalPlace,
): Uint8Array {
  const bytes = Buffer.alloc(superblockSize);
  const { blockSize, readOnlyCompat } = fields;
  const words: [number, number][] = [
    [0, fields.inodes],
    [4, fields.blocks],
    [12, fields.freeBlocks],
    [16, fields.freeInodes],
    [20, fields.firstBlock],
    [24, Math.log2(blockSize) - 10],
    [28, Math.log2(blockSize) - 10],
    [32, fields.blocksPerGroup],
    [36, fields.blocksPerGroup],
    [40, fields.inodesPerGroup],
    [48, fields.madeAt],
    [64, fields.madeAt],
    [76, 1],
    [84, 11],
    [92, fields.compat],
    [96, fields.incompat],
    [100, readOnlyCompat],
    [264, fields.madeAt],
    // Hashes of names are over signed characters.
    [352, 1],
  ];
  for (const [offset, value] of words) bytes.writeUInt32LE(value >>> 0, offset);
  // No limit to the number of mounts before a check; clean; go on after errors.
  bytes.writeUInt16LE(0xffff, 54);
  bytes.writeUInt16LE(magic, 56);
  bytes.writeUInt16LE(1, 58);
  bytes.writeUInt16LE(1, 60);
  bytes.writeUInt16LE(fields.inodeSize, 88);
  bytes.set(fields.uuid, 104);
  bytes.write(fields.label, 120, 16, 'latin1');
  bytes.set(fields.hashSeed, 236);
  // Indexes of directories hash by half MD4.
  bytes[252] = 1;
  if (journal) {
    bytes.writeUInt32LE(journal.inode, 224);
    // The copy that follows is of an inode.
    bytes[253] = 1;
    bytes.set(journal.blockField, 268);
    bytes.writeUInt32LE(Math.floor(journal.size / 2 ** 32), 328);
    bytes.writeUInt32LE(journal.size % 2 ** 32, 332);
  }
  bytes.writeUInt16LE(extraInodeSize, 348);
  bytes.writeUInt16LE(extraInodeSize, 350);
  if (readOnlyCompat & ReadOnlyCompat.metadataChecksums) {
    bytes[373] = crc32cType;
    bytes.writeUInt32LE(crc32c(0xffffffff, bytes, 0, 1020), 1020);
  }
  return bytes;
}

/** Reads a superblock. Throws CORRUPT, naming the field, when it is none. */
function decodeSuperblock(bytes: Uint8Array): Superblock {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.readUInt16LE(56) !== magic) throw corrupt('magic', 'this is no ext4 file system');
  const incompat = view.readUInt32LE(96);
  const readOnlyCompat = view.readUInt32LE(100);
  if (
    readOnlyCompat & ReadOnlyCompat.metadataChecksums &&
    crc32c(0xffffffff, view, 0, 1020) !== view.readUInt32LE(1020)
  ) {
    throw corrupt('checksum', 'it does not fit the content');
  }
  const wide = (incompat & Incompat.sixtyFourBit) !== 0;
  const high = (offset: number): number => (wide ? view.readUInt32LE(offset) * 2 ** 32 : 0);
  const logBlockSize = view.readUInt32LE(24);
  if (logBlockSize > 6) throw corrupt('log_block_size', `${logBlockSize} is not possible`);
  const blockSize = 1024 << logBlockSize;
  // Revision 0 knew neither another inode size nor features.
  const inodeSize = view.readUInt32LE(76) === 0 ? 128 : view.readUInt16LE(88);
  const seeded = (incompat & Incompat.checksumSeed) !== 0;
  const uuid = Uint8Array.from(view.subarray(104, 120));
  const label = view.toString('latin1', 120, 136);
  const superblock: Superblock = {
    inodes: view.readUInt32LE(0),
    blocks: view.readUInt32LE(4) + high(336),
    freeBlocks: view.readUInt32LE(12) + high(344),
    freeInodes: view.readUInt32LE(16),
    firstBlock: view.readUInt32LE(20),
    blockSize,
    blocksPerGroup: view.readUInt32LE(32),
    inodesPerGroup: view.readUInt32LE(40),
    inodeSize,
    compat: view.readUInt32LE(92),
    incompat,
    readOnlyCompat,
    uuid,
    label: label.includes('\0') ? label.slice(0, label.indexOf('\0')) : label,
    hashSeed: Uint8Array.from(view.subarray(236, 252)),
    descriptorSize: wide ? view.readUInt16LE(254) : 32,
    firstMetaGroup: incompat & Incompat.metaGroups ? view.readUInt32LE(260) : 2 ** 32,
    madeAt: view.readUInt32LE(264),
    checksumSeed: seeded ? view.readUInt32LE(624) : crc32c(0xffffffff, uuid),
  };
  check(superblock);
  return superblock;
}

/** Reads the superblock of an image. Throws CORRUPT, naming the field, when there is none. */
export function readSuperblock(input: SeekableInput): Superblock {
  if (input.size < superblockOffset + superblockSize) {
    throw new Ext4Error('CORRUPT', `Cannot read the superblock: the image has only ${input.size} bytes`);
  }
  const bytes = new Uint8Array(superblockSize);
  input.read(bytes, superblockOffset);
  return decodeSuperblock(bytes);
}

function check(superblock: Superblock): void {
  const { blockSize, blocksPerGroup, inodesPerGroup, inodeSize, blocks, firstBlock, inodes, descriptorSize } =
    superblock;
  const power = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;
  if (blocksPerGroup === 0 || blocksPerGroup > 8 * blockSize)
    throw corrupt('blocks_per_group', `it is ${blocksPerGroup}`);
  if (inodesPerGroup === 0 || inodesPerGroup > 8 * blockSize)
    throw corrupt('inodes_per_group', `it is ${inodesPerGroup}`);
  if (!power(inodeSize) || inodeSize < 128 || inodeSize > blockSize)
    throw corrupt('inode_size', `it is ${inodeSize}`);
  if (!power(descriptorSize) || descriptorSize < 32 || descriptorSize > blockSize) {
    throw corrupt('desc_size', `it is ${descriptorSize}`);
  }
  if (!Number.isSafeInteger(blocks * blockSize) || blocks <= firstBlock)
    throw corrupt('blocks_count', `it is ${blocks}`);
  if (firstBlock !== (blockSize === 1024 ? 1 : 0)) throw corrupt('first_data_block', `it is ${firstBlock}`);
  if (inodes < 2 || inodes > inodesPerGroup * Math.ceil((blocks - firstBlock) / blocksPerGroup)) {
    throw corrupt('inodes_count', `it is ${inodes}`);
  }
}

function corrupt(field: string, problem: string): Ext4Error {
  return new Ext4Error('CORRUPT', `Cannot read the superblock: field "${field}": ${problem}`);
}
