import { type Handle, setPointer, wideString } from '@hcsshim/windows';

/** What `GetCurrentProcess` gives. */
export const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;

/** `UNICODE_STRING` (ntdef.h): lengths in bytes, and at 8 the text. */
function unicodeString(text: string): Buffer {
  const wide = wideString(text);
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(wide.length - 2, 0);
  bytes.writeUInt16LE(wide.length, 2);
  setPointer(bytes, 8, wide);
  return bytes;
}

/** `OBJECT_ATTRIBUTES` (ntdef.h), case-insensitive; the name is below `directory` where there is one. */
export function objectAttributes(name?: string, directory?: Handle<'HANDLE'>): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt32LE(48, 0);
  bytes.writeBigUInt64LE(directory ?? 0n, 8);
  if (name !== undefined) setPointer(bytes, 16, unicodeString(name));
  bytes.writeUInt32LE(0x40, 24);
  return bytes;
}
