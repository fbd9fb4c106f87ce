import { blockSize } from './layout.ts';

/*
 * The first block of a journal (linux, include/linux/jbd2.h), big-endian, of one that is empty. The journal is the
 * content of inode 8.
 *
 *   0          4          8          12         16       20       24         28         32    ...   48       64
 *   +----------+----------+----------+----------+--------+--------+----------+----------+-----------+--------+-------+
 *   | magic    | type 4   | sequence | block    | blocks | first  | sequence | start of | error,    | uuid   | users |
 *   | C03B3998 |          | 0        | size     |        | 1      | 1        | log 0    | features  |        | 1     |
 *   +----------+----------+----------+----------+--------+--------+----------+----------+-----------+--------+-------+
 */

export const journalInode = 8;
/** Linux wants 1024 blocks; four extents in the inode hold at most this. */
export const smallestJournal = 1024 * blockSize;
export const largestJournal = 4 * 32768 * blockSize;

const magic = 0xc03b3998;
const superblockType = 4;

export function encodeJournalSuperblock(blocks: number): Uint8Array {
  const block = Buffer.alloc(blockSize);
  const words: [number, number][] = [
    [0, magic],
    [4, superblockType],
    [12, blockSize],
    [16, blocks],
    [20, 1],
    [24, 1],
    [64, 1],
  ];
  for (const [at, value] of words) block.writeUInt32BE(value, at);
  return block;
}
