import { type FileHandle, open } from 'node:fs/promises';
import { HcsError } from '@hcsshim/schema';

/*
 * A fixed VHD is the disk's bytes with this footer after them, big-endian
 * (Microsoft, "Virtual Hard Disk Image Format Specification", 1.0):
 *
 *   0         8          12        16            24          28
 *   +---------+----------+---------+-------------+-----------+--------------------
 *   | conect- | features | version | data offset | timestamp | creator: program,
 *   | ix      | 2        | 1.0     | all ones    | from 2000 | version, system
 *   +---------+----------+---------+-------------+-----------+--------------------
 *   40              48             56         60      64         68      84     85
 *   +---------------+--------------+----------+-------+----------+-------+-------+
 *   | original size | current size | geometry | type  | checksum | id    | saved |  zeros up to 512
 *   |               |              | C H S    | 2     |          |       | state |
 *   +---------------+--------------+----------+-------+----------+-------+-------+
 */

export const vhdFooterLength = 512;

const cookie = new TextEncoder().encode('conectix');
const sectorSize = 512;
const fixedDisk = 2;

export interface VhdFooter {
  /** Bytes of the disk, without the footer; a multiple of 512. */
  size: number;
  /** 16 bytes that name the disk. */
  id: Uint8Array;
}

/**
 * The footer of a fixed VHD. Equal disks have equal bytes: the time of creation is always the format's epoch,
 * 2000-01-01.
 */
export function encodeVhdFooter({ size, id }: VhdFooter): Uint8Array {
  if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0) {
    throw new RangeError(
      `Cannot describe a disk of ${size} bytes: its size must be a multiple of ${sectorSize}`,
    );
  }
  const bytes = new Uint8Array(vhdFooterLength);
  const view = new DataView(bytes.buffer);
  const { cylinders, heads, sectors } = geometryOf(size);
  bytes.set(cookie, 0);
  view.setUint32(8, 2);
  view.setUint32(12, 0x00010000);
  view.setBigUint64(16, 0xffffffffffffffffn);
  bytes.set(new TextEncoder().encode('hcts'), 28);
  view.setUint32(32, 0x00010000);
  bytes.set(new TextEncoder().encode('Wi2k'), 36);
  view.setBigUint64(40, BigInt(size));
  view.setBigUint64(48, BigInt(size));
  view.setUint16(56, cylinders);
  bytes[58] = heads;
  bytes[59] = sectors;
  view.setUint32(60, fixedDisk);
  bytes.set(id.subarray(0, 16), 68);
  view.setUint32(64, checksum(bytes));
  return bytes;
}

/**
 * Reads a footer. Throws ERROR_INVALID_DATA, naming `subject`, when it is none, is damaged, or is not of a fixed
 * disk.
 */
export function decodeVhdFooter(bytes: Uint8Array, subject = 'footer'): VhdFooter {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length !== vhdFooterLength || cookie.some((byte, index) => bytes[index] !== byte)) {
    throw notAVhd(subject, 'it does not end with a VHD footer');
  }
  if (view.getUint32(64) !== checksum(bytes)) throw notAVhd(subject, 'the checksum of its footer is wrong');
  if (view.getUint32(60) !== fixedDisk) throw notAVhd(subject, 'it is not a fixed VHD, convert it first');
  return { size: Number(view.getBigUint64(48)), id: bytes.slice(68, 84) };
}

/** Makes a disk image a fixed VHD by writing a footer after its last byte. */
export async function appendVhdFooter(image: FileHandle, id: Uint8Array): Promise<void> {
  const { size } = await image.stat();
  await image.write(encodeVhdFooter({ size, id }), 0, vhdFooterLength, size);
}

/** The footer of a fixed VHD file. Throws ERROR_INVALID_DATA, also when the file is cut short. */
export async function readVhd(path: string): Promise<VhdFooter> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const bytes = new Uint8Array(vhdFooterLength);
  const { bytesRead } = await file.read(bytes, 0, vhdFooterLength, Math.max(0, size - vhdFooterLength));
  const footer = decodeVhdFooter(bytes.subarray(0, bytesRead), path);
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

function notAVhd(path: string, problem: string): HcsError {
  return new HcsError({ action: `Cannot read the VHD "${path}"`, problem, code: 'ERROR_INVALID_DATA' });
}

/** Ones' complement of the sum of all bytes but the checksum's own. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < vhdFooterLength; index++) {
    if (index < 64 || index >= 68) sum += bytes[index] ?? 0;
  }
  return ~sum >>> 0;
}

/** The specification's appendix, "CHS Calculation"; a larger disk than it can say has the largest geometry. */
function geometryOf(size: number): { cylinders: number; heads: number; sectors: number } {
  const total = Math.min(size / sectorSize, 65535 * 16 * 255);
  let heads: number;
  let sectors: number;
  let cylinderHeads: number;
  if (total >= 65535 * 16 * 63) {
    sectors = 255;
    heads = 16;
    cylinderHeads = Math.floor(total / sectors);
  } else {
    sectors = 17;
    cylinderHeads = Math.floor(total / sectors);
    heads = Math.max(4, Math.floor((cylinderHeads + 1023) / 1024));
    if (cylinderHeads >= heads * 1024 || heads > 16) {
      sectors = 31;
      heads = 16;
      cylinderHeads = Math.floor(total / sectors);
    }
    if (cylinderHeads >= heads * 1024) {
      sectors = 63;
      heads = 16;
      cylinderHeads = Math.floor(total / sectors);
    }
  }
  return { cylinders: Math.floor(cylinderHeads / heads), heads, sectors };
}
