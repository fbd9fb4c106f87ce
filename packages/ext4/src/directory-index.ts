import { crc32c, crc32cWord } from './crc32c.ts';
import { directoryEntrySize } from './directory.ts';
import { blockSize } from './layout.ts';
import type { NameHash } from './name-hash.ts';

/*
 * An htree: a directory whose entries lie in blocks by the hashes of their names, and an index of these blocks. To
 * who does not know of it, blocks of the index look like entries that are unused.
 *
 *   root    0             12                     24        28     29    30     31     32      34      36      40
 *           +-------------+----------------------+---------+------+-----+------+------+-------+-------+-------+------
 *           | entry of "."| entry of "..", up to | zeros   | hash | 8   | more | zero | most  | count | block | hash,
 *           |             | the end of the block |         | 1    |     |levels|      |      |       |       | block …
 *           +-------------+----------------------+---------+------+-----+------+------+-------+-------+-------+------
 *   node    | unused entry of 8 bytes, up to the end of the block | most, count, block, then hash and block …
 *
 * The first block has no hash, as it begins with the least; another's is the least hash in it, with the lowest bit set
 * when the block before it ends with the same. With checksums of metadata the last 8 bytes of a block are zeros and one.
 */

const rootHead = 32;
const nodeHead = 8;
const entrySize = 8;
const directoryType = 2;
const halfMd4 = 1;
const infoLength = 8;

/** Names in the order of their hashes, and the blocks that they fill. */
export interface DirectoryIndex {
  names: string[];
  blocks: { /** The least in the block, as the index has it. */ hash: number }[];
}

/** Sorts names into blocks that hold entries up to `capacity` bytes. Equal names in equal order make equal blocks. */
export function indexNames(names: Iterable<string>, hash: NameHash, capacity: number): DirectoryIndex {
  const hashed = Array.from(names, (name) => ({ name, hash: hash.of(name) }));
  hashed.sort((one, other) => one.hash - other.hash);
  const blocks: { hash: number }[] = [];
  let filled = capacity;
  let before = -1;
  for (const { name, hash: own } of hashed) {
    const size = directoryEntrySize(name.length);
    if (filled + size > capacity) {
      blocks.push({ hash: own === before ? own + 1 : own });
      filled = 0;
    }
    filled += size;
    before = own;
  }
  return { names: hashed.map(({ name }) => name), blocks };
}

export interface IndexPlace {
  inode: number;
  parent: number;
  checksumSeed: number | undefined;
}

/**
 * The blocks of the index, which come before those of the entries. Undefined when there are more blocks than two
 * levels can tell of.
 */
export function encodeIndex({ blocks }: DirectoryIndex, place: IndexPlace): Uint8Array[] | undefined {
  const tail = place.checksumSeed === undefined ? 0 : 1;
  const rootLimit = (blockSize - rootHead) / entrySize - tail;
  const nodeLimit = (blockSize - nodeHead) / entrySize - tail;
  if (blocks.length <= rootLimit) {
    const leaves = blocks.map(({ hash }, index) => ({ hash, block: 1 + index }));
    return [encodeRoot(place, 0, leaves, rootLimit)];
  }
  const nodes = Math.ceil(blocks.length / nodeLimit);
  if (nodes > rootLimit) return undefined;
  const leaves = blocks.map(({ hash }, index) => ({ hash, block: 1 + nodes + index }));
  const parts = Array.from({ length: nodes }, (_, node) =>
    leaves.slice(node * nodeLimit, (node + 1) * nodeLimit),
  );
  const root = parts.map(([first], node) => ({ hash: first!.hash, block: 1 + node }));
  return [
    encodeRoot(place, 1, root, rootLimit),
    ...parts.map((part) => encodeNode(place.checksumSeed, part, nodeLimit)),
  ];
}

interface IndexEntry {
  hash: number;
  block: number;
}

function encodeRoot(
  { inode, parent, checksumSeed }: IndexPlace,
  moreLevels: number,
  entries: readonly IndexEntry[],
  limit: number,
): Uint8Array {
  const block = Buffer.alloc(blockSize);
  block.writeUInt32LE(inode, 0);
  block.writeUInt16LE(12, 4);
  block[6] = 1;
  block[7] = directoryType;
  block.write('.', 8);
  block.writeUInt32LE(parent, 12);
  block.writeUInt16LE(blockSize - 12, 16);
  block[18] = 2;
  block[19] = directoryType;
  block.write('..', 20);
  block[28] = halfMd4;
  block[29] = infoLength;
  block[30] = moreLevels;
  encodeEntries(block, rootHead, entries, limit, checksumSeed);
  return block;
}

function encodeNode(
  checksumSeed: number | undefined,
  entries: readonly IndexEntry[],
  limit: number,
): Uint8Array {
  const block = Buffer.alloc(blockSize);
  block.writeUInt16LE(blockSize, 4);
  encodeEntries(block, nodeHead, entries, limit, checksumSeed);
  return block;
}

function encodeEntries(
  block: Buffer,
  start: number,
  entries: readonly IndexEntry[],
  limit: number,
  checksumSeed: number | undefined,
): void {
  for (const [index, { hash, block: number }] of entries.entries()) {
    block.writeUInt32LE(hash, start + index * entrySize);
    block.writeUInt32LE(number, start + index * entrySize + 4);
  }
  // In the place of the first hash.
  block.writeUInt16LE(limit, start);
  block.writeUInt16LE(entries.length, start + 2);
  if (checksumSeed === undefined) return;
  const used = crc32c(checksumSeed, block, 0, start + entries.length * entrySize);
  // Over the zeros before it, and zeros in its own place.
  block.writeUInt32LE(crc32cWord(crc32cWord(used, 0), 0), blockSize - 4);
}
