import { crc32c } from './crc32c.ts';
import { blockSize } from './layout.ts';

/*
 * Where the content of a file is: a tree of nodes, its root in the 60 bytes of the inode, the others in blocks.
 *
 *   0       2         4          6       8            12            24
 *   +-------+---------+----------+-------+------------+-------------+---------+-- ... -+----------+
 *   | magic | entries | most     | depth | generation | entry       | entry   |        | checksum |
 *   | F30A  |         | possible |       |            |             |         |        | (blocks) |
 *   +-------+---------+----------+-------+------------+-------------+---------+-- ... -+----------+
 *
 *   leaf (depth 0)    0               4        6            8              12
 *                     +---------------+--------+------------+--------------+
 *                     | first block   | blocks | disk block | disk block   |
 *                     | in the file   |        | (high)     | (low)        |
 *                     +---------------+--------+------------+--------------+
 *   index             | first block   | node's block (low)  | high, unused |
 *                     +---------------+---------------------+--------------+
 */

const extentMagic = 0xf30a;
export const extentEntrySize = 12;
/** Longest extent of content; one with more blocks than this is reserved but not written, and reads as zeros. */
const longestExtent = 32768;

const entriesInRoot = 4;
const entriesInBlock = Math.floor((blockSize - 16) / extentEntrySize);

/** Blocks of a file that follow each other in the file and on disk. */
export interface Extent {
  /** First block within the file. */
  logical: number;
  /** First block on the disk. */
  physical: number;
  blocks: number;
}

/**
 * Writes the tree of a file: its root into 60 bytes, other nodes into blocks that `append` puts on disk and
 * tells the number of. Returns how many those are.
 */
export function encodeExtents(
  root: DataView,
  at: number,
  extents: readonly Extent[],
  append: (node: Uint8Array) => number,
  checksumSeed?: number,
): number {
  let entries: Extent[] = extents.flatMap(split);
  let depth = 0;
  let blocks = 0;
  while (entries.length > entriesInRoot) {
    const parents: Extent[] = [];
    for (let first = 0; first < entries.length; first += entriesInBlock) {
      const part = entries.slice(first, first + entriesInBlock);
      const node = new Uint8Array(blockSize);
      const view = new DataView(node.buffer);
      encodeNode(view, 0, part, depth, entriesInBlock);
      if (checksumSeed !== undefined) {
        view.setUint32(blockSize - 4, crc32c(checksumSeed, node, 0, blockSize - 4), true);
      }
      parents.push({ logical: part[0]!.logical, physical: append(node), blocks: 0 });
      blocks++;
    }
    entries = parents;
    depth++;
  }
  encodeNode(root, at, entries, depth, entriesInRoot);
  return blocks;
}

function encodeNode(
  view: DataView,
  at: number,
  entries: readonly Extent[],
  depth: number,
  most: number,
): void {
  view.setUint16(at, extentMagic, true);
  view.setUint16(at + 2, entries.length, true);
  view.setUint16(at + 4, most, true);
  view.setUint16(at + 6, depth, true);
  let entry = at + 12;
  for (const { logical, physical, blocks } of entries) {
    view.setUint32(entry, logical, true);
    if (depth === 0) {
      view.setUint16(entry + 4, blocks, true);
      view.setUint32(entry + 8, physical, true);
    } else {
      view.setUint32(entry + 4, physical, true);
    }
    entry += extentEntrySize;
  }
}

function split(extent: Extent): Extent[] {
  const parts: Extent[] = [];
  for (let done = 0; done < extent.blocks; done += longestExtent) {
    parts.push({
      logical: extent.logical + done,
      physical: extent.physical + done,
      blocks: Math.min(longestExtent, extent.blocks - done),
    });
  }
  return parts;
}

/** The head of a node, or undefined when it is none. */
export function decodeExtentHeader(
  view: DataView,
  at: number,
): { entries: number; most: number; depth: number } | undefined {
  if (view.getUint16(at, true) !== extentMagic) return undefined;
  return {
    entries: view.getUint16(at + 2, true),
    most: view.getUint16(at + 4, true),
    depth: view.getUint16(at + 6, true),
  };
}

/** An entry of a leaf. `written` is false for one that reads as zeros. */
export function decodeExtent(view: DataView, at: number): Extent & { written: boolean } {
  const length = view.getUint16(at + 4, true);
  return {
    logical: view.getUint32(at, true),
    physical: view.getUint32(at + 8, true) + view.getUint16(at + 6, true) * 2 ** 32,
    blocks: length > longestExtent ? length - longestExtent : length,
    written: length <= longestExtent,
  };
}

export function decodeExtentIndex(view: DataView, at: number): { logical: number; block: number } {
  return {
    logical: view.getUint32(at, true),
    block: view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 2 ** 32,
  };
}
