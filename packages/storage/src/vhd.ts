import { open } from 'node:fs/promises';
import { decodeVhdFooter, Ext4Error, type VhdFooter, vhdFooterLength } from '@hcsshim/ext4';
import { HcsError } from '@hcsshim/schema';

/** The footer of a fixed VHD file. Throws ERROR_INVALID_DATA, also when the file is cut short. */
export async function readVhd(path: string): Promise<VhdFooter> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const bytes = new Uint8Array(vhdFooterLength);
  const { bytesRead } = await file.read(bytes, 0, vhdFooterLength, Math.max(0, size - vhdFooterLength));
  const footer = decode(path, bytes.subarray(0, bytesRead));
  if (footer.size !== size - vhdFooterLength) {
    throw notAVhd(path, `its footer says ${footer.size} bytes, the file holds ${size - vhdFooterLength}`);
  }
  return footer;
}

/** Makes a fixed VHD a bare disk image again. Throws ERROR_INVALID_DATA when it is none. */
export async function stripVhdFooter(path: string): Promise<void> {
  const { size } = await readVhd(path);
  await using file = await open(path, 'r+');
  await file.truncate(size);
}

function decode(path: string, bytes: Uint8Array): VhdFooter {
  try {
    return decodeVhdFooter(bytes);
  } catch (cause) {
    if (!(cause instanceof Ext4Error)) throw cause;
    throw notAVhd(path, cause.message, cause);
  }
}

function notAVhd(path: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({
    action: `Cannot read the VHD "${path}"`,
    problem,
    code: 'ERROR_INVALID_DATA',
    cause,
  });
}
