import { bind, type Handle, kernel32, ntdll, OwnedHandle, objectAttributes } from '@hcsshim/windows';

const shareReadWrite = 0x3;
const fileOpen = 1;
/** `FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT`: calls wait, and directories open too. */
const createOptions = 0x20 | 0x4000;
const synchronize = 0x00100000;
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
  const attributes = objectAttributes(nativePath(path));
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
  return create(objectAttributes(path, { root, flags: dontReparse }), opening);
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
