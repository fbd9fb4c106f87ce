import { koffi } from './koffi.ts';
import { struct } from './struct.ts';

/** `UNICODE_STRING` (ntdef.h); lengths in bytes, without a NUL. */
export const unicodeString = struct({ length: 'USHORT', maximumLength: 'USHORT', buffer: 'POINTER' });

/** `OBJECT_ATTRIBUTES` (ntdef.h). */
const objectAttributesLayout = struct({
  length: 'DWORD',
  rootDirectory: 'POINTER',
  objectName: 'POINTER',
  attributes: 'DWORD',
  securityDescriptor: 'POINTER',
  securityQualityOfService: 'POINTER',
});

/** `OBJ_CASE_INSENSITIVE` (ntdef.h), as names are everywhere else. */
const caseInsensitive = 0x40;

/** A UNICODE_STRING counts bytes in 16 bits. */
const maxNameBytes = 0xfffe;

/**
 * The `OBJECT_ATTRIBUTES` that name an object of the kernel by its native path, `\BaseNamedObjects\example`; without a name, of
 * an object that has none. Name and structure are in the one buffer, which therefore must not be moved or copied.
 *
 * @param options.root The directory that the name is below, while it is open. @default none
 * @param options.flags `OBJ_…`, to be added to OBJ_CASE_INSENSITIVE. @default 0
 */
export function objectAttributes(
  name?: string,
  { root = 0n, flags = 0 }: { root?: bigint; flags?: number } = {},
): Buffer {
  const text = Buffer.from(name ?? '', 'utf16le');
  if (text.length > maxNameBytes) {
    throw new RangeError(
      `Cannot name an object: its name has ${text.length / 2} characters, more than 32767`,
    );
  }
  const nameAt = objectAttributesLayout.size;
  const textAt = nameAt + unicodeString.size;
  const memory = Buffer.alloc(textAt + text.length);
  const address = koffi().address(memory);
  const objectName = name === undefined ? 0n : address + BigInt(nameAt);
  const { size: length } = objectAttributesLayout;
  const attributes = caseInsensitive | flags;
  objectAttributesLayout.encode({ length, rootDirectory: root, objectName, attributes }).copy(memory);
  const buffer = address + BigInt(textAt);
  unicodeString.encode({ length: text.length, maximumLength: text.length, buffer }).copy(memory, nameAt);
  text.copy(memory, textAt);
  return memory;
}
