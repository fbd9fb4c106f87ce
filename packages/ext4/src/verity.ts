import { hash } from 'node:crypto';
import { type DigestOptions, digestSize, digestsOfBlocks, verityBlockSize } from './block-digests.ts';
import type { SeekableInput, SeekableOutput } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';

/*
 * A hash device of dm-verity (linux, Documentation/admin-guide/device-mapper/verity.rst; cryptsetup, lib/verity),
 * little-endian: a superblock in a block of its own, then the levels of the tree, the top first, each filled up to a
 * whole block. A level is the hashes of the blocks below it; the root hash is that of the top block, and is not stored.
 *
 *   0        8         12     16     32          64       68       72       80      82     88     344  512
 *   +--------+---------+------+------+-----------+--------+--------+--------+-------+------+------+----+
 *   | verity | version | type | uuid | algorithm | data   | hash   | data   | salt  | zero | salt |zero|
 *   |        | 1       | 1    |      | "sha256"  | block  | block  | blocks | bytes |      |      |    |
 *   +--------+---------+------+------+-----------+--------+--------+--------+-------+------+------+----+
 */

const magic = Buffer.from('verity\0\0');
const superblockLength = 512;
const algorithm = 'sha256';
const hashesPerBlock = verityBlockSize / digestSize;
const longestSalt = 256;

export interface VerityOptions extends DigestOptions {
  /** A GUID for the hash device. @default all zeros */
  uuid?: string;
  /** Up to 256 bytes. @default 32 zeros */
  salt?: Uint8Array;
}

export interface VerityTree {
  /** 32 bytes. */
  rootHash: Uint8Array;
  /** Bytes of the hash device, its superblock included. */
  size: number;
}

export interface VeritySuperblock {
  /** 16 bytes. */
  uuid: Uint8Array;
  algorithm: string;
  dataBlocks: number;
  salt: Uint8Array;
}

/**
 * Writes the hash device for the first `dataSize` bytes of `data` (a multiple of 4096) at `offset` of `output`, which may be the
 * same file behind the data. The bytes are those that veritysetup writes for the same salt and UUID. Memory is
 * flat in the size.
 */
export async function writeVerityTree(
  data: SeekableInput,
  dataSize: number,
  output: SeekableOutput,
  offset: number,
  options: VerityOptions = {},
): Promise<VerityTree> {
  const { uuid = '00000000-0000-0000-0000-000000000000', salt = new Uint8Array(32) } = options;
  const { rootHash, size } = await hashTree(data, dataSize, salt, options, (block, at) =>
    output.write(block, offset + at),
  );
  output.write(encodeSuperblock(uuid, salt, dataSize / verityBlockSize), offset);
  return { rootHash, size };
}

/** The root hash that a tree over the first `dataSize` bytes would have. */
export async function verityRootHash(
  data: SeekableInput,
  dataSize: number,
  options: VerityOptions = {},
): Promise<Uint8Array> {
  const { rootHash } = await hashTree(data, dataSize, options.salt ?? new Uint8Array(32), options, () => {});
  return rootHash;
}

/** The superblock of the hash device at `offset`, and the root hash of its tree. Throws INVALID_VERITY. */
export function readVerity(
  input: SeekableInput,
  offset: number,
): VeritySuperblock & { rootHash: Uint8Array } {
  const superblock = decodeSuperblock(readAt(input, offset, superblockLength));
  if (levelsOf(superblock.dataBlocks).length === 0)
    throw notVerity('data_blocks', 'a single block has no tree');
  const top = readAt(input, offset + verityBlockSize, verityBlockSize);
  return { ...superblock, rootHash: digestOf(top, superblock.salt) };
}

/**
 * Hashes the data anew and compares every block of the hash device at `offset` of `hashes`. Throws INVALID_VERITY that names the first
 * block of the tree that differs, or the root hash when that is not `rootHash`.
 */
export async function verifyVerityTree(
  data: SeekableInput,
  hashes: SeekableInput,
  offset: number,
  rootHash: Uint8Array,
  options: DigestOptions = {},
): Promise<void> {
  const { dataBlocks, salt } = decodeSuperblock(readAt(hashes, offset, superblockLength));
  const found = await hashTree(data, dataBlocks * verityBlockSize, salt, options, (block, at) => {
    if (Buffer.compare(readAt(hashes, offset + at, verityBlockSize), block) !== 0) {
      throw notVerity(`block ${at / verityBlockSize}`, 'it does not fit the data');
    }
  });
  if (Buffer.compare(found.rootHash, rootHash) !== 0)
    throw notVerity('root hash', 'it does not fit the data');
}

/** Hands each block of the tree to `take` as soon as it is full, with its place in the hash device. */
async function hashTree(
  data: SeekableInput,
  dataSize: number,
  salt: Uint8Array,
  options: DigestOptions,
  take: (block: Uint8Array, at: number) => void,
): Promise<VerityTree> {
  if (!(dataSize > 0 && dataSize % verityBlockSize === 0 && dataSize <= data.size)) {
    throw notVerity('data size', `${dataSize} bytes are not whole blocks of the image`);
  }
  if (salt.length > longestSalt)
    throw notVerity('salt', `it has ${salt.length} bytes, allowed are ${longestSalt}`);
  const levels = levelsOf(dataSize / verityBlockSize).map((level) => ({
    ...level,
    block: new Uint8Array(verityBlockSize),
    filled: 0,
  }));
  let rootHash = new Uint8Array();
  const add = (level: number, digests: Uint8Array): void => {
    const here = levels[level];
    if (!here) {
      rootHash = Uint8Array.from(digests);
      return;
    }
    for (let at = 0; at < digests.length; ) {
      const part = digests.subarray(at, at + verityBlockSize - here.filled);
      here.block.set(part, here.filled);
      here.filled += part.length;
      at += part.length;
      if (here.filled === verityBlockSize) emit(level);
    }
  };
  const emit = (level: number): void => {
    const here = levels[level]!;
    take(here.block, here.at);
    here.at += verityBlockSize;
    add(level + 1, digestOf(here.block, salt));
    here.block.fill(0);
    here.filled = 0;
  };
  for await (const digests of digestsOfBlocks(data, dataSize, salt, options)) add(0, digests);
  for (const [level, { filled }] of levels.entries()) if (filled > 0) emit(level);
  const size = (1 + levels.reduce((sum, { count }) => sum + count, 0)) * verityBlockSize;
  return { rootHash, size };
}

/** From the lowest level to the top: how many blocks each has, and where it begins in the hash device. */
function levelsOf(dataBlocks: number): { count: number; at: number }[] {
  const counts: number[] = [];
  for (let count = dataBlocks; count > 1; ) counts.push((count = Math.ceil(count / hashesPerBlock)));
  let at = verityBlockSize;
  const levels = counts.reverse().map((count) => {
    const level = { count, at };
    at += count * verityBlockSize;
    return level;
  });
  return levels.reverse();
}

function digestOf(block: Uint8Array, salt: Uint8Array): Uint8Array {
  return hash(algorithm, Buffer.concat([salt, block]), 'buffer');
}

function encodeSuperblock(uuid: string, salt: Uint8Array, dataBlocks: number): Uint8Array {
  const digits = uuid.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(digits)) throw notVerity('uuid', `"${uuid}" is not 32 hexadecimal digits`);
  const bytes = Buffer.alloc(verityBlockSize);
  bytes.set(magic);
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt32LE(1, 12);
  bytes.write(digits, 16, 'hex');
  bytes.write(algorithm, 32);
  bytes.writeUInt32LE(verityBlockSize, 64);
  bytes.writeUInt32LE(verityBlockSize, 68);
  bytes.writeBigUInt64LE(BigInt(dataBlocks), 72);
  bytes.writeUInt16LE(salt.length, 80);
  bytes.set(salt, 88);
  return bytes;
}

function decodeSuperblock(from: Uint8Array): VeritySuperblock {
  const bytes = Buffer.from(from.buffer, from.byteOffset, from.byteLength);
  if (!bytes.subarray(0, 8).equals(magic)) throw notVerity('magic', 'there is no verity superblock');
  const name = bytes.toString('latin1', 32, 64).replace(/\0.*$/s, '');
  const expected: [string, number | string, number | string][] = [
    ['version', bytes.readUInt32LE(8), 1],
    ['hash_type', bytes.readUInt32LE(12), 1],
    ['algorithm', name, algorithm],
    ['data_block_size', bytes.readUInt32LE(64), verityBlockSize],
    ['hash_block_size', bytes.readUInt32LE(68), verityBlockSize],
  ];
  for (const [field, value, only] of expected) {
    if (value !== only) throw notVerity(field, `it is ${value}, and only ${only} is known`);
  }
  const dataBlocks = Number(bytes.readBigUInt64LE(72));
  const saltLength = bytes.readUInt16LE(80);
  if (!Number.isSafeInteger(dataBlocks * verityBlockSize) || dataBlocks === 0)
    throw notVerity('data_blocks', `it is ${dataBlocks}`);
  if (saltLength > longestSalt) throw notVerity('salt_size', `it is ${saltLength}`);
  const slice = (start: number, end: number): Uint8Array => Uint8Array.from(bytes.subarray(start, end));
  return { uuid: slice(16, 32), algorithm: name, dataBlocks, salt: slice(88, 88 + saltLength) };
}

function readAt(input: SeekableInput, offset: number, length: number): Uint8Array {
  if (offset + length > input.size)
    throw notVerity('size', `the image ends at ${input.size}, before ${offset + length}`);
  const bytes = new Uint8Array(length);
  input.read(bytes, offset);
  return bytes;
}

function notVerity(field: string, problem: string): Ext4Error {
  return new Ext4Error('INVALID_VERITY', `Cannot use the dm-verity tree: ${field}: ${problem}`);
}
