import { crc32c } from './crc32c.ts';
import { Ext4Error } from './ext4-error.ts';
import {
  decodeExtent,
  decodeExtentHeader,
  decodeExtentIndex,
  type Extent,
  extentEntrySize,
} from './extent.ts';
import { blockFieldSize } from './inode.ts';

/** Reads a block of the disk; throws CORRUPT when the disk has no such block. `subject` says what wants it. */
export type BlockReader = (block: number, subject: string) => Uint8Array;

const headerSize = 12;
/** No tree of 2^32 blocks is deeper. */
const deepest = 5;

/** An extent that is reserved without content is left out, like a hole. */
export function* extentsOfTree(
  root: Uint8Array,
  subject: string,
  read: BlockReader,
  checksumSeed: number | undefined,
): Generator<Extent, void, undefined> {
  // Goes forward only, so that a tree that leads into itself ends.
  let next = 0;
  const visit = function* (
    node: Uint8Array,
    place: string,
    depth: number | undefined,
  ): Generator<Extent, void> {
    const problem = (field: string, detail: string): Ext4Error =>
      new Ext4Error(
        'CORRUPT',
        `Cannot read the extents of ${subject}: ${place}: field "${field}": ${detail}`,
      );
    const view = new DataView(node.buffer, node.byteOffset, node.byteLength);
    const header = decodeExtentHeader(view, 0);
    if (!header) throw problem('eh_magic', 'it is not that of an extent tree');
    const { entries, most } = header;
    if (header.depth > deepest || (depth !== undefined && header.depth !== depth)) {
      throw problem('eh_depth', `it is ${header.depth}`);
    }
    if (entries > most || headerSize + most * extentEntrySize > node.length) {
      throw problem('eh_entries', `${entries} of ${most} do not fit`);
    }
    if (depth !== undefined) {
      if (entries === 0) throw problem('eh_entries', 'it is 0');
      const end = headerSize + most * extentEntrySize;
      if (
        checksumSeed !== undefined &&
        end + 4 <= node.length &&
        crc32c(checksumSeed, node, 0, end) !== view.getUint32(end, true)
      ) {
        throw problem('et_checksum', 'it does not fit the content');
      }
    }
    for (let index = 0; index < entries; index++) {
      const at = headerSize + index * extentEntrySize;
      if (header.depth === 0) {
        const extent = decodeExtent(view, at);
        if (extent.logical < next || extent.blocks === 0)
          throw problem('ee_block', `entry ${index} goes back`);
        next = extent.logical + extent.blocks;
        if (extent.written) yield extent;
      } else {
        const { logical, block } = decodeExtentIndex(view, at);
        if (logical < next) throw problem('ei_block', `entry ${index} goes back`);
        yield* visit(read(block, subject), `block ${block}`, header.depth - 1);
      }
    }
  };
  yield* visit(root, 'inode', undefined);
}

/**
 * Where a file of ext2 or ext3 is: 12 numbers of blocks in the inode, and three of blocks that hold such numbers, at one, two and three
 * removes. 0 is a hole.
 */
export function* extentsOfPointers(
  root: Uint8Array,
  blocks: number,
  blockSize: number,
  subject: string,
  read: BlockReader,
): Generator<Extent, void, undefined> {
  let logical = 0;
  let open: Extent | undefined;
  const perBlock = blockSize / 4;
  const visit = function* (pointer: number, remove: number): Generator<Extent, void> {
    if (logical >= blocks) return;
    if (remove > 0 && pointer !== 0) {
      const node = read(pointer, subject);
      const view = new DataView(node.buffer, node.byteOffset, node.byteLength);
      for (let index = 0; index < perBlock; index++)
        yield* visit(view.getUint32(index * 4, true), remove - 1);
      return;
    }
    const count = Math.min(perBlock ** remove, blocks - logical);
    if (pointer !== 0) {
      if (open && open.physical + open.blocks === pointer && open.logical + open.blocks === logical)
        open.blocks++;
      else {
        if (open) yield open;
        open = { logical, physical: pointer, blocks: 1 };
      }
    }
    logical += count;
  };
  const view = new DataView(root.buffer, root.byteOffset, blockFieldSize);
  for (let index = 0; index < 15; index++)
    yield* visit(view.getUint32(index * 4, true), Math.max(0, index - 11));
  if (open) yield open;
}
