import { rm } from 'node:fs/promises';
import { type LayerCallOptions, layerCall } from './layer-call.ts';
import { formatWritableLayerDisk } from './layer-storage.ts';
import { VirtualDisk } from './virtual-disk.ts';

/**
 * Makes a VHDX with one partition of NTFS. A file that is there is an error; of a failed call none remains.
 *
 * @param size In bytes.
 */
export async function createNtfsDisk(
  path: string,
  size: bigint,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`create NTFS disk "${path}"`, options, async (signal) => {
    await using undo = new AsyncDisposableStack();
    const disk = await VirtualDisk.create(path, size, { signal });
    undo.defer(() => rm(path, { force: true }));
    undo.use(disk);
    await formatWritableLayerDisk(disk, { signal });
    // Made: only the handle is given back.
    undo.move();
    await disk[Symbol.asyncDispose]();
  });
}
