import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HcsError } from '@hcsshim/hcs';
import type { ScsiAttachment } from '@hcsshim/schema';
import { requireFixedVhd, vhdFooterBytes } from '../fixed-vhd.ts';

/** A disk as QEMU is to open it. */
export interface DiskImage {
  path: string;
  readOnly: boolean;
  /** In bytes, without the VHD's footer; undefined for a host device, which knows its size. */
  size?: number;
}

/**
 * Looks at what an attachment names: a fixed VHD for `VirtualDisk`, a block device for `PassThru`.
 * QEMU's own VHD driver is not used: it takes the size from the footer's CHS geometry, which is rounded.
 * Throws ERROR_FILE_NOT_FOUND, E_ACCESSDENIED, and ERROR_INVALID_DATA for what is no such disk.
 */
export async function openDiskImage(action: string, attachment: ScsiAttachment): Promise<DiskImage> {
  const { Path: path, ReadOnly: readOnly = false } = attachment;
  const status = await statusOf(action, path);
  if (attachment.Type === 'VirtualDisk') {
    await requireFixedVhd(action, path);
    return { path, readOnly, size: status.size - vhdFooterBytes };
  }
  if (!status.isBlockDevice()) {
    throw new HcsError({
      action,
      problem: `"${path}" is no block device, attach a file as VirtualDisk`,
      code: 'ERROR_INVALID_DATA',
    });
  }
  return { path, readOnly };
}

async function statusOf(action: string, path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (error) {
    const closed = (error as NodeJS.ErrnoException).code === 'EACCES';
    throw new HcsError({
      action,
      problem: `"${path}" ${closed ? 'may not be read' : 'does not exist'}`,
      code: closed ? 'E_ACCESSDENIED' : 'ERROR_FILE_NOT_FOUND',
      cause: error,
    });
  }
}
