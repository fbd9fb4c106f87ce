import { koffi } from './koffi.ts';

/** Memory that a structure points to, which must stay for as long as the structure does. */
const pointees = new WeakMap<Uint8Array, Uint8Array[]>();

/**
 * Writes the address of `target` into a structure, at an offset in bytes. The target lives for as long as the structure's
 * bytes do: hand over those themselves, not a copy.
 */
export function setPointer(structure: Buffer, offset: number, target: Uint8Array): void {
  structure.writeBigUInt64LE(koffi().address(target), offset);
  const others = pointees.get(structure);
  if (others === undefined) pointees.set(structure, [target]);
  else others.push(target);
}

/** A string as a structure of Windows points to it: UTF-16, ended by a NUL. Throws a TypeError for one with a NUL in it. */
export function wideString(text: string): Buffer {
  if (text.includes('\0')) throw new TypeError(`Cannot use a string with a NUL character in it`);
  return Buffer.from(`${text}\0`, 'utf16le');
}

/** A copy of memory of a DLL's, from an address that it gave, of a size in bytes that the caller knows to be there. */
export function readMemory(address: bigint, bytes: number): Buffer {
  return Buffer.from(new Uint8Array(koffi().view(address, bytes)));
}
