/*
 * Footer of a fixed VHD, the last 512 bytes of the file (Microsoft's "Virtual Hard Disk Image Format
 * Specification"), numbers in big-endian:
 *
 *     0 "conectix"        8 features (2)       12 version 1.0      16 data offset (-1)   24 time since 2000-01-01
 *    28 creator          32 creator version    36 creator OS       40 original size      48 current size
 *    56 cylinders/heads/sectors                60 disk type (2)    64 checksum           68 unique id
 *    84 saved state      85 zeroes
 */

/** Bytes that {@link vhdFooter} adds behind the disk. */
export const vhdFooterSize = 512;

export interface VhdFooterOptions {
  /** Of the disk, in bytes, a multiple of 512. */
  diskSize: number;
  /** 16 bytes. */
  uniqueId: Uint8Array;
}

/** The footer that makes a raw disk a fixed VHD. Its time is 0, so the same disk makes the same bytes. */
export function vhdFooter({ diskSize, uniqueId }: VhdFooterOptions): Uint8Array {
  const footer = Buffer.alloc(vhdFooterSize);
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x00010000, 12);
  footer.fill(0xff, 16, 24);
  // Of an unknown creator, QEMU takes the size from the geometry, which rounds down.
  footer.write('win ', 28, 'latin1');
  footer.writeUInt32BE(0x000a0000, 32);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(diskSize), 40);
  footer.writeBigUInt64BE(BigInt(diskSize), 48);
  const { cylinders, heads, sectors } = geometry(diskSize / 512);
  footer.writeUInt16BE(cylinders, 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectors, 59);
  footer.writeUInt32BE(2, 60);
  footer.set(uniqueId, 68);
  footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
  return footer;
}

/** Cylinders, heads and sectors per track as the specification's appendix computes them. */
function geometry(sectorCount: number): { cylinders: number; heads: number; sectors: number } {
  const total = Math.min(sectorCount, 65535 * 16 * 255);
  if (total >= 65535 * 16 * 63) return { cylinders: Math.floor(total / 255 / 16), heads: 16, sectors: 255 };
  let sectors = 17;
  let tracks = Math.floor(total / sectors);
  let heads = Math.max(4, Math.floor((tracks + 1023) / 1024));
  if (tracks >= heads * 1024 || heads > 16) {
    sectors = 31;
    heads = 16;
    tracks = Math.floor(total / sectors);
  }
  if (tracks >= heads * 1024) {
    sectors = 63;
    heads = 16;
    tracks = Math.floor(total / sectors);
  }
  return { cylinders: Math.floor(tracks / heads), heads, sectors };
}
