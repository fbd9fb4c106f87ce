import type { SeekableInput, SeekableOutput } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';

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

const cookie = Buffer.from('conectix');
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
  if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0 || id.length !== 16) {
    throw new Ext4Error(
      'INVALID_VHD',
      `Cannot describe a disk of ${size} bytes: give a multiple of ${sectorSize}, and 16 bytes of id`,
    );
  }
  const bytes = Buffer.alloc(vhdFooterLength);
  const { cylinders, heads, sectors } = geometryOf(size);
  bytes.set(cookie, 0);
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(0x00010000, 12);
  bytes.fill(0xff, 16, 24);
  bytes.write('hcts', 28);
  bytes.writeUInt32BE(0x00010000, 32);
  bytes.write('Wi2k', 36);
  bytes.writeBigUInt64BE(BigInt(size), 40);
  bytes.writeBigUInt64BE(BigInt(size), 48);
  bytes.writeUInt16BE(cylinders, 56);
  bytes[58] = heads;
  bytes[59] = sectors;
  bytes.writeUInt32BE(fixedDisk, 60);
  bytes.set(id, 68);
  bytes.writeUInt32BE(checksum(bytes), 64);
  return bytes;
}

/** Reads a footer. Throws INVALID_VHD when it is none, is damaged, or is not of a fixed disk. */
export function decodeVhdFooter(bytes: Uint8Array): VhdFooter {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length !== vhdFooterLength || !view.subarray(0, 8).equals(cookie)) {
    throw notAVhd('it does not end with a footer');
  }
  if (view.readUInt32BE(64) !== checksum(view)) throw notAVhd('the checksum of its footer is wrong');
  if (view.readUInt32BE(60) !== fixedDisk) throw notAVhd('it is not a fixed VHD, convert it first');
  return { size: Number(view.readBigUInt64BE(48)), id: Uint8Array.from(view.subarray(68, 84)) };
}

/** Makes an image of `size` bytes a fixed VHD. */
export function appendVhdFooter(output: SeekableOutput, footer: VhdFooter): void {
  output.write(encodeVhdFooter(footer), footer.size);
}

/**
 * Reads and verifies the footer of a fixed VHD. To strip it, cut the file to the footer's `size`. Throws
 * INVALID_VHD.
 */
export function readVhdFooter(input: SeekableInput): VhdFooter {
  if (input.size < vhdFooterLength) throw notAVhd(`it has only ${input.size} bytes`);
  const bytes = new Uint8Array(vhdFooterLength);
  input.read(bytes, input.size - vhdFooterLength);
  const footer = decodeVhdFooter(bytes);
  if (footer.size !== input.size - vhdFooterLength) {
    throw notAVhd(`its footer says ${footer.size} bytes, and there are ${input.size - vhdFooterLength}`);
  }
  return footer;
}

function notAVhd(problem: string): Ext4Error {
  return new Ext4Error('INVALID_VHD', `Cannot read the VHD: ${problem}`);
}

/** Ones' complement of the sum of all bytes but the checksum's own. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < vhdFooterLength; index++) {
    if (index < 64 || index >= 68) sum += bytes[index]!;
  }
  return ~sum >>> 0;
}

/** The specification's appendix, "CHS Calculation"; a larger disk than it can say has the largest geometry. */
function geometryOf(size: number): { cylinders: number; heads: number; sectors: number } {
  const total = Math.min(size / sectorSize, 65535 * 16 * 255);
  if (total >= 65535 * 16 * 63) return { cylinders: Math.floor(total / 255 / 16), heads: 16, sectors: 255 };
  const few = Math.floor(total / 17);
  const heads = Math.max(4, Math.ceil(few / 1024));
  if (few < heads * 1024 && heads <= 16) return { cylinders: Math.floor(few / heads), heads, sectors: 17 };
  const sectors = Math.floor(total / 31) < 16 * 1024 ? 31 : 63;
  return { cylinders: Math.floor(total / sectors / 16), heads: 16, sectors };
}
