import { createHash } from 'node:crypto';

const pattern = /^\{?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}?$/i;

/** The 16 bytes of a GUID as Windows keeps it: the first three fields little-endian, the rest as written. */
export function guidToBytes(text: string): Buffer {
  const fields = pattern.exec(text);
  if (fields === null) {
    throw new TypeError(`Cannot use "${text}" as a GUID: write it as 01234567-89ab-cdef-0123-456789abcdef`);
  }
  const [, first, second, third, fourth, fifth] = fields as unknown as string[];
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(Number.parseInt(first as string, 16), 0);
  bytes.writeUInt16LE(Number.parseInt(second as string, 16), 4);
  bytes.writeUInt16LE(Number.parseInt(third as string, 16), 6);
  bytes.write(`${fourth}${fifth}`, 8, 'hex');
  return bytes;
}

/** The text of a GUID, lower case and without braces. */
export function guidFromBytes(bytes: Buffer): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  const rest = bytes.toString('hex', 8, 16);
  return [
    hex(bytes.readUInt32LE(0), 8),
    hex(bytes.readUInt16LE(4), 4),
    hex(bytes.readUInt16LE(6), 4),
    rest.slice(0, 4),
    rest.slice(4),
  ].join('-');
}

/**
 * The GUID whose bytes are the first 16 of the SHA-1 of `source`: always the same for the same text, as hcsshim's
 * `NewGUID`. The GUID that Windows gives a layer's name is another one, ask `NameToGuid` for it.
 */
export function newGuid(source: string): string {
  return guidFromBytes(createHash('sha1').update(source, 'utf8').digest().subarray(0, 16));
}
