import { createHash } from 'node:crypto';

/**
 * The footer of a fixed VHD: the disk's bytes as they are, then these 512 (all numbers big-endian).
 * Source: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0.
 *
 *     0   cookie "conectix"        48  current size in bytes, u64
 *     8   features, u32 (2)        56  cylinders u16, heads u8, sectors u8
 *     12  version, u32 (1.0)       60  disk type, u32 (2 = fixed)
 *     16  data offset, u64 (none)  64  checksum, u32
 *     24  timestamp, u32           68  unique id, 16 bytes
 *     28  creator, version, host   84  saved state, u8; zeroes to the end
 *     40  original size, u64
 */
export const vhdFooterLength = 512;

const cookie = 'conectix';
const sectorSize = 512;
const fixedDisk = 2;
const checksumAt = 64;

export interface VhdFooter {
  /** Size of the disk in bytes, without the footer. */
  size: number;
  /** 16 bytes. */
  uniqueId: Uint8Array;
}

/** Makes the footer of a disk. Same size and seed, same bytes: the id is derived from them, the time is zero. */
export function encodeVhdFooter(size: number, seed = ''): Uint8Array {
  if (!Number.isSafeInteger(size) || size <= 0 || size % sectorSize !== 0) {
    throw new Error(
      `Cannot make a VHD footer for ${size} bytes: a disk is a whole number of ${sectorSize}-byte sectors`,
    );
  }
  const footer = Buffer.alloc(vhdFooterLength);
  footer.write(cookie, 0, 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x00010000, 12);
  footer.fill(0xff, 16, 24);
  footer.write('hcts', 28, 'latin1');
  footer.writeUInt32BE(0x00010000, 32);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(size), 40);
  footer.writeBigUInt64BE(BigInt(size), 48);
  writeGeometry(footer, size);
  footer.writeUInt32BE(fixedDisk, 60);
  footer.set(createHash('sha256').update(`${size} ${seed}`).digest().subarray(0, 16), 68);
  footer.writeUInt32BE(checksum(footer), checksumAt);
  return footer;
}

/** Reads a footer. Throws when it is none, is damaged, or does not belong to a fixed disk. */
export function decodeVhdFooter(bytes: Uint8Array): VhdFooter {
  const footer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (footer.length !== vhdFooterLength || footer.toString('latin1', 0, 8) !== cookie) {
    throw new Error('Cannot read the VHD footer: the last 512 bytes do not begin with "conectix"');
  }
  if (footer.readUInt32BE(checksumAt) !== checksum(footer)) {
    throw new Error('Cannot read the VHD footer: its checksum is wrong');
  }
  const type = footer.readUInt32BE(60);
  if (type !== fixedDisk)
    throw new Error(`Cannot read the VHD: it is of type ${type}, only fixed disks (2) are supported`);
  return { size: Number(footer.readBigUInt64BE(48)), uniqueId: new Uint8Array(footer.subarray(68, 84)) };
}

/** One's complement of the sum of all bytes but the checksum's own. */
function checksum(footer: Uint8Array): number {
  let sum = 0;
  for (const [index, byte] of footer.entries()) {
    if (index < checksumAt || index >= checksumAt + 4) sum += byte;
  }
  return ~sum >>> 0;
}

/** The geometry by the algorithm in the specification's appendix; it caps at 127 GiB. */
function writeGeometry(footer: Buffer, size: number): void {
  const sectors = Math.min(size / sectorSize, 65535 * 16 * 255);
  let sectorsPerTrack = 17;
  let cylindersTimesHeads = Math.floor(sectors / sectorsPerTrack);
  let heads = Math.max(4, Math.floor((cylindersTimesHeads + 1023) / 1024));
  if (sectors >= 65535 * 16 * 63) {
    sectorsPerTrack = 255;
    heads = 16;
    cylindersTimesHeads = Math.floor(sectors / sectorsPerTrack);
  } else {
    if (cylindersTimesHeads >= heads * 1024 || heads > 16) {
      sectorsPerTrack = 31;
      heads = 16;
      cylindersTimesHeads = Math.floor(sectors / sectorsPerTrack);
    }
    if (cylindersTimesHeads >= heads * 1024) {
      sectorsPerTrack = 63;
      heads = 16;
      cylindersTimesHeads = Math.floor(sectors / sectorsPerTrack);
    }
  }
  footer.writeUInt16BE(Math.floor(cylindersTimesHeads / heads), 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectorsPerTrack, 59);
}
