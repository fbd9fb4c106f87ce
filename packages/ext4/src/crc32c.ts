/** CRC-32C (Castagnoli), reflected. Tables for four bytes at a time: table k is for a byte with k zeros after it. */
const tables = makeTables();

function makeTables(): readonly Uint32Array[] {
  const first = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++)
      remainder = remainder & 1 ? (remainder >>> 1) ^ 0x82f63b78 : remainder >>> 1;
    first[byte] = remainder;
  }
  const all = [first];
  for (let k = 1; k < 4; k++) {
    const before = all[k - 1]!;
    all.push(before.map((value) => (value >>> 8) ^ first[value & 0xff]!));
  }
  return all;
}

/**
 * Goes on from `crc` over more bytes, without the inversions at start and end that other users of the
 * polynomial have: ext4 starts with 0xffffffff and stores what comes out.
 */
export function crc32c(crc: number, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const [t0, t1, t2, t3] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let value = crc | 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    value ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    value = t3[value & 0xff]! ^ t2[(value >>> 8) & 0xff]! ^ t1[(value >>> 16) & 0xff]! ^ t0[value >>> 24]!;
  }
  for (; at < end; at++) value = (value >>> 8) ^ t0[(value ^ bytes[at]!) & 0xff]!;
  return value >>> 0;
}

const word = new Uint8Array(4);

/** The same over one number of 32 bits, little-endian. */
export function crc32cWord(crc: number, value: number): number {
  word[0] = value;
  word[1] = value >>> 8;
  word[2] = value >>> 16;
  word[3] = value >>> 24;
  return crc32c(crc, word);
}
