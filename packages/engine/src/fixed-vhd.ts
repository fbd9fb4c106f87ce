import { open } from 'node:fs/promises';
import { HcsError } from '@hcsshim/hcs';

/** Length of the footer that ends every VHD, in bytes. */
export const vhdFooterBytes = 512;

/** Where the footer says what kind of VHD it is, and the kinds, by Microsoft's VHD specification 1.0. */
const diskTypeOffset = 60;
const diskTypes: Record<number, string> = { 2: 'fixed', 3: 'dynamic', 4: 'differencing' };

/** Throws ERROR_INVALID_DATA unless the file is a VHD, ERROR_NOT_SUPPORTED unless it is a fixed one. */
export async function requireFixedVhd(action: string, path: string): Promise<void> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const footer = Buffer.alloc(vhdFooterBytes);
  if (size > vhdFooterBytes) await file.read(footer, 0, vhdFooterBytes, size - vhdFooterBytes);
  if (footer.toString('latin1', 0, 8) !== 'conectix') {
    throw new HcsError({
      action,
      problem: `"${path}" does not end with a VHD footer, convert it to a fixed VHD`,
      code: 'ERROR_INVALID_DATA',
    });
  }
  const type = diskTypes[footer.readUInt32BE(diskTypeOffset)] ?? 'unknown';
  if (type !== 'fixed') {
    throw new HcsError({
      action,
      problem: `"${path}" is a ${type} VHD, convert it to a fixed one`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
}
