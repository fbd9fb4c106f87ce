import { mkdir, stat, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';
import { attachLoopDevice, type LoopDevice } from '@hcsshim/linux';
import type { ScsiAttachment } from '@hcsshim/schema';
import { vhdFooterBytes } from '../fixed-vhd.ts';

/**
 * The disks of a sandbox: links `scsi/<controller>/<lun>` to block devices. A VHD becomes a loop device that
 * ends before the footer. The owner holds it open, mounts in the sandbox hold it too, and the kernel frees it
 * with the last of these: nothing of it outlives them, however they end.
 */
export class LoopDisks implements AsyncDisposable {
  readonly #directory: string;
  readonly #devices = new Map<string, LoopDevice | undefined>();

  constructor(directory: string) {
    this.#directory = join(directory, 'scsi');
  }

  async attach(controller: number, lun: number, disk: ScsiAttachment, signal?: AbortSignal): Promise<void> {
    const link = this.#link(controller, lun);
    const file = await stat(disk.Path);
    await mkdir(join(this.#directory, String(controller)), { recursive: true, mode: 0o700 });
    if (disk.Type === 'PassThru') {
      if (!file.isBlockDevice()) {
        throw new HcsError({
          action: `Cannot attach disk "${disk.Path}"`,
          problem: 'it is no block device, only those pass through',
          code: 'ERROR_INVALID_DATA',
        });
      }
      await symlink(disk.Path, link);
      this.#devices.set(link, undefined);
      return;
    }
    const device = await attachLoopDevice(disk.Path, {
      readOnly: disk.ReadOnly ?? false,
      sizeLimit: file.size - vhdFooterBytes,
      signal,
    });
    try {
      await symlink(device.path, link);
    } catch (error) {
      await device.close();
      throw error;
    }
    this.#devices.set(link, device);
  }

  async detach(controller: number, lun: number): Promise<void> {
    const link = this.#link(controller, lun);
    await unlink(link);
    await this.#devices.get(link)?.close();
    this.#devices.delete(link);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.#devices.values()) await device?.close();
    this.#devices.clear();
  }

  #link(controller: number, lun: number): string {
    return join(this.#directory, String(controller), String(lun));
  }
}
