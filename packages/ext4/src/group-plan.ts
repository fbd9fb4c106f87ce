import { blockSize, blocksPerGroup, inodesPerBlock, mostInodesPerGroup } from './layout.ts';

/** Where the metadata behind the content goes, in blocks. */
export interface GroupPlan {
  groups: number;
  inodesPerGroup: number;
  /** All groups' tables, one after the other. */
  inodeTables: number;
  /** Per group a bitmap of its blocks and one of its inodes. */
  bitmaps: number;
  /** First block after all that is in use. */
  end: number;
  /** Blocks of the file system. */
  blocks: number;
}

/** The fewest groups that hold the content up to block `contentEnd`, that many inodes, and what describes them. */
export function planGroups(contentEnd: number, inodes: number, leastBlocks: number): GroupPlan {
  for (let groups = Math.max(1, Math.ceil(Math.max(contentEnd, leastBlocks) / blocksPerGroup)); ; groups++) {
    const inodesPerGroup = Math.ceil(inodes / groups / inodesPerBlock) * inodesPerBlock;
    if (inodesPerGroup > mostInodesPerGroup) continue;
    const bitmaps = contentEnd + (groups * inodesPerGroup) / inodesPerBlock;
    const end = bitmaps + 2 * groups;
    if (end > groups * blocksPerGroup) continue;
    const blocks = Math.max(end, leastBlocks, (groups - 1) * blocksPerGroup + 1);
    return { groups, inodesPerGroup, inodeTables: contentEnd, bitmaps, end, blocks };
  }
}

/** Blocks or inodes that follow each other. */
export interface Range {
  start: number;
  count: number;
}

/** Sorted, and those that touch made one. */
export function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { start, count } of [...ranges].sort((one, other) => one.start - other.start)) {
    const last = merged.at(-1);
    if (count === 0) continue;
    if (last && last.start + last.count === start) last.count += count;
    else merged.push({ start, count });
  }
  return merged;
}

/**
 * Bitmaps of one group after another. Bits at the end that stand for nothing, because the last group or the
 * number of inodes is smaller than the bitmap, are set: e2fsck insists on it.
 */
export class BitmapEncoder {
  readonly #free: readonly Range[];
  /** First of the free ranges that can be of concern to the next group. */
  #next = 0;
  readonly bitmap: Uint8Array = new Uint8Array(blockSize);

  /** `free` is sorted. Groups must be asked for in their order. */
  constructor(free: readonly Range[]) {
    this.#free = free;
  }

  /** Fills `bitmap` for `count` things from number `first` on, and returns how many of these are free. */
  encode(first: number, count: number): number {
    this.bitmap.fill(0xff);
    let free = 0;
    for (let index = this.#next; index < this.#free.length; index++) {
      const range = this.#free[index]!;
      if (range.start >= first + count) break;
      const start = Math.max(range.start, first) - first;
      const end = Math.min(range.start + range.count, first + count) - first;
      if (end <= start) {
        this.#next = index + 1;
        continue;
      }
      clearBits(this.bitmap, start, end);
      free += end - start;
    }
    return free;
  }
}

function clearBits(bitmap: Uint8Array, start: number, end: number): void {
  let bit = start;
  for (; bit < end && bit % 8 !== 0; bit++) bitmap[bit >>> 3]! &= ~(1 << (bit & 7));
  if (end - bit >= 8) {
    const last = end >>> 3;
    bitmap.fill(0, bit >>> 3, last);
    bit = last * 8;
  }
  for (; bit < end; bit++) bitmap[bit >>> 3]! &= ~(1 << (bit & 7));
}
