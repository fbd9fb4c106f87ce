import { stat } from 'node:fs/promises';
import { HcsError } from '@hcsshim/hcs';
import type { ScsiAttachment } from '@hcsshim/schema';
import { vhdFooterBytes } from '../fixed-vhd.ts';

/** A disk as QEMU is to open it. */
export interface DiskImage {
  path: string;
  readOnly: boolean;
  /** In bytes, without the VHD's footer; undefined for a host device, which knows its size. */
  size?: number;
}

/**
 * A checked attachment as an image: a fixed VHD for `VirtualDisk`, a block device for `PassThru`.
 * QEMU's own VHD driver is not used: it takes the size from the footer's CHS geometry, which is rounded.
 * Throws ERROR_FILE_NOT_FOUND, and ERROR_INVALID_DATA for a `PassThru` that is no block device.
 */
export async function openDiskImage(action: string, attachment: ScsiAttachment): Promise<DiskImage> {
  const { Path: path, ReadOnly: readOnly = false } = attachment;
  const status = await stat(path).catch((cause) => {
    throw new HcsError({
      action,
      problem: `"${path}" cannot be found`,
      code: 'ERROR_FILE_NOT_FOUND',
      cause,
    });
  });
  if (attachment.Type === 'VirtualDisk') return { path, readOnly, size: status.size - vhdFooterBytes };
  if (status.isBlockDevice()) return { path, readOnly };
  throw new HcsError({
    action,
    problem: `"${path}" is no block device, attach a file as VirtualDisk`,
    code: 'ERROR_INVALID_DATA',
  });
}
