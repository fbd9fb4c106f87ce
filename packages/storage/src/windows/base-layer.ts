import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';
import { setUpBaseOsLayer } from './layer-storage.ts';
import { createNtfsDisk } from './ntfs-disk.ts';
import { VirtualDisk } from './virtual-disk.ts';
import { grantVmGroupAccess } from './vm-group-access.ts';

export interface BaseLayerDisks {
  /** Path of the VHDX to make. One that is there is replaced. */
  base: string;
  /** Path of the VHDX that keeps the differences to it, which writable layers are copies of. Likewise. */
  differencing: string;
  /** Size of the base disk in bytes. @default 20 GiB, as hcsshim's tools take */
  size?: bigint;
}

const defaultSize = 20n * 1024n ** 3n;

/** Copying boot files and hives takes its time. */
const setUpTimeout = 10 * 60_000;

/**
 * Sets a container's base layer up, a folder with `Files` in it, and makes the two disks of its scratch space. `Hives` and
 * `Layout` are made anew. A failed call leaves no disk. Given up after 10 minutes by default. Source: hcsshim's
 * computestorage, `SetupContainerBaseLayer`.
 */
export async function setUpContainerBaseLayer(
  layerPath: string,
  disks: BaseLayerDisks,
  options: LayerCallOptions = {},
): Promise<void> {
  const action = `set up base layer "${layerPath}" of containers`;
  return layerCall(action, { timeout: setUpTimeout, ...options }, async (signal) => {
    absolutePath(layerPath, 'layer');
    // The call that makes these two fails where they are.
    for (const name of ['Hives', 'Layout']) await rm(join(layerPath, name), { recursive: true, force: true });
    await makeDisks(disks, signal, async () => {
      await createNtfsDisk(disks.base, disks.size ?? defaultSize, { signal });
      await setUpBaseOsLayer(layerPath, { Type: 'Container' }, { signal });
    });
  });
}

/**
 * As {@link setUpContainerBaseLayer}, for the utility VM of a layer: the base disk boots it.
 *
 * @param uvmPath The layer's folder `UtilityVM`, with `Files` in it.
 */
export async function setUpUtilityVmBaseLayer(
  uvmPath: string,
  disks: BaseLayerDisks,
  options: LayerCallOptions = {},
): Promise<void> {
  const action = `set up base layer "${uvmPath}" of utility VMs`;
  return layerCall(action, { timeout: setUpTimeout, ...options }, async (signal) => {
    absolutePath(uvmPath, 'layer');
    await makeDisks(disks, signal, async () => {
      await using disk = await VirtualDisk.create(disks.base, disks.size ?? defaultSize, { signal });
      await disk.attach({ signal });
      await setUpBaseOsLayer(uvmPath, { Type: 'Vm' }, { signal, disk });
      await disk.detach({ signal });
    });
  });
}

/** Both disks, the base one by `makeBase`, or none. */
async function makeDisks(
  { base, differencing }: BaseLayerDisks,
  signal: AbortSignal,
  makeBase: () => Promise<void>,
): Promise<void> {
  const removeDisks = async (): Promise<void> => {
    for (const path of [differencing, base]) await rm(path, { force: true });
  };
  absolutePath(base, 'disk');
  absolutePath(differencing, 'disk');
  await removeDisks();
  await using undo = new AsyncDisposableStack();
  undo.defer(removeDisks);
  await makeBase();
  const overlay = await VirtualDisk.createDifferencing(differencing, base, { signal });
  await overlay[Symbol.asyncDispose]();
  for (const path of [base, differencing]) await grantVmGroupAccess(path, { signal });
  undo.move();
}
