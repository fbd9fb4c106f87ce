import { bind, type Handle, kernel32, ntdll, OwnedHandle, setPointer } from '@hcsshim/windows';

const shareReadWrite = 0x3;
const fileOpen = 1;
/** `FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT`: calls wait, and directories open too. */
const createOptions = 0x20 | 0x4000;
const synchronize = 0x00100000;
const caseInsensitive = 0x40;
/** `OBJ_DONT_REPARSE`: a reparse point on the way is an error. From build 14393 on. */
const dontReparse = 0x1000;

/** As `NtCreateFile` takes them (winternl.h). */
export interface FileOpening {
  desiredAccess: number;
  shareAccess: number;
  createDisposition: number;
  /** To be added to those that every file gets. */
  createOptions: number;
}

/**
 * Opens a file, directory or volume that is there, with access rights that Node does not ask for.
 *
 * @param path Absolute, or of a volume: `C:`, `\\?\Volume{…}`, without a separator at its end.
 * @param access Of winnt.h, `READ_CONTROL` for example.
 */
export async function openNative(
  path: string,
  access: number,
  { shareAccess = shareReadWrite, options = 0 } = {},
): Promise<OwnedHandle<'HANDLE'>> {
  const attributes = objectAttributes(nativePath(path), caseInsensitive);
  return create(attributes, {
    desiredAccess: access,
    shareAccess,
    createDisposition: fileOpen,
    createOptions: options,
  });
}

/**
 * Opens or makes a file or directory below one that is open. The kernel follows no reparse point on the way, whoever puts one there
 * meanwhile.
 *
 * @param path As from `relativePath`.
 */
export async function openBelow(
  root: Handle<'HANDLE'>,
  path: string,
  opening: FileOpening,
): Promise<OwnedHandle<'HANDLE'>> {
  return create(objectAttributes(path, caseInsensitive | dontReparse, root), opening);
}

async function create(attributes: Buffer, opening: FileOpening): Promise<OwnedHandle<'HANDLE'>> {
  const { file } = await bind(ntdll).NtCreateFile({
    ...opening,
    desiredAccess: (opening.desiredAccess | synchronize) >>> 0,
    createOptions: createOptions | opening.createOptions,
    objectAttributes: attributes,
    ioStatusBlock: Buffer.alloc(16),
    allocationSize: null,
    fileAttributes: 0,
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
function objectAttributes(name: string, flags: number, root: bigint = 0n): Buffer {
  const text = Buffer.from(name, 'utf16le');
  const unicodeString = Buffer.alloc(16);
  unicodeString.writeUInt16LE(text.length, 0);
  unicodeString.writeUInt16LE(text.length, 2);
  setPointer(unicodeString, 8, text);
  const attributes = Buffer.alloc(48);
  attributes.writeUInt32LE(48, 0);
  attributes.writeBigUInt64LE(root, 8);
  setPointer(attributes, 16, unicodeString);
  attributes.writeUInt32LE(flags, 24);
  return attributes;
}
