import { bind, kernel32, ntdll, OwnedHandle, setPointer, wideString } from '@hcsshim/windows';

const fileOpen = 1;
const shareReadWrite = 0x3;
/** `FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT`: calls wait, and directories open too. */
const createOptions = 0x20 | 0x4000;
const synchronize = 0x00100000;
const caseInsensitive = 0x40;

/**
 * Opens a file, directory or volume that is there, with access rights that Node does not ask for.
 *
 * @param path Absolute, or of a volume: `C:`, `\\?\Volume{…}`, without a separator at its end.
 * @param access Of winnt.h, `READ_CONTROL` for example.
 */
export async function openNative(path: string, access: number): Promise<OwnedHandle<'HANDLE'>> {
  const { file } = await bind(ntdll).NtCreateFile({
    desiredAccess: (access | synchronize) >>> 0,
    objectAttributes: objectAttributes(nativePath(path)),
    ioStatusBlock: Buffer.alloc(16),
    allocationSize: null,
    fileAttributes: 0,
    shareAccess: shareReadWrite,
    createDisposition: fileOpen,
    createOptions,
    extendedAttributes: null,
    extendedAttributesLength: 0,
  });
  return new OwnedHandle('HANDLE', file, (object) => bind(kernel32).CloseHandle({ object }));
}

/** `C:\a`, `\\server\share` and `\\?\a` in the object manager's own names. */
function nativePath(path: string): string {
  const plain = path.replaceAll('/', '\\');
  if (plain.startsWith('\\\\?\\')) return `\\??\\${plain.slice(4)}`;
  return plain.startsWith('\\\\') ? `\\??\\UNC${plain.slice(1)}` : `\\??\\${plain}`;
}

/** `OBJECT_ATTRIBUTES`, with the `UNICODE_STRING` at 16 that it points to (ntdef.h). */
function objectAttributes(name: string): Buffer {
  const text = wideString(name);
  const unicodeString = Buffer.alloc(16);
  unicodeString.writeUInt16LE(text.length - 2, 0);
  unicodeString.writeUInt16LE(text.length, 2);
  setPointer(unicodeString, 8, text);
  const attributes = Buffer.alloc(48);
  attributes.writeUInt32LE(48, 0);
  setPointer(attributes, 16, unicodeString);
  attributes.writeUInt32LE(caseInsensitive, 24);
  return attributes;
}
