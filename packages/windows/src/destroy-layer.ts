import { bind } from './bind.ts';
import { vmcompute } from './dlls/vmcompute.ts';
import { koffi } from './koffi.ts';
import { struct } from './struct.ts';
import { attemptAsync } from './windows-error.ts';

/** `DRIVER_INFO` (hcsshim's internal/wclayer): how layers are kept, and the directory that their ids are relative to. */
const driverInfo = struct({ flavour: 'INT', homeDirectory: 'POINTER' });

/** The driver of layers with a filter, as opposed to differencing disks. */
const filterDriver = 1;

/**
 * Removes a container layer: the directory at `path`, which must be absolute, with all that is in it. Files of layers have owners
 * and rights that keep other programs from that. Rejects with a WindowsError.
 */
export async function destroyLayer(path: string, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  // Ids are relative to no directory, so they are paths: the text is empty.
  const info = Buffer.alloc(driverInfo.size + 2);
  const homeDirectory = koffi().address(info) + BigInt(driverInfo.size);
  driverInfo.encode({ flavour: filterDriver, homeDirectory }).copy(info);
  await attemptAsync(`destroy layer "${path}"`, () => bind(vmcompute).DestroyLayer({ info, id: path }));
}
