import { HcsError } from '@hcsshim/schema';
import { relativePath } from './relative-path.ts';

/*
 * How ExportLayer writes a layer that has parents into a folder, and ImportLayer reads it:
 *
 *   Files\…               a file: its attributes (32 bits), then its backup stream
 *   Files\…\              a directory, empty but for what is in it; what it has itself is beside it, in the same form, in
 *   Files\….$wcidirs$     a file of its name
 *   Hives\…               changes to the registry, as plain files
 *   UtilityVM\…           plain files
 *   tombstones.txt        what the layer deletes from its parents: UTF-8 with a mark, "Version 1.0", then a line for each path
 *                         below Files, as \Windows\deleted
 *
 * Source: hcsshim's internal/wclayer/legacy.go.
 */
export const filesFolder = 'Files';
export const hivesFolder = 'Hives';
export const utilityVmFolder = 'UtilityVM';
export const utilityVmFiles = 'UtilityVM\\Files';
export const tombstonesFile = 'tombstones.txt';

const directoryDataSuffix = '.$wcidirs$';
const tombstonesHeader = '\ufeffVersion 1.0';
/** A layer that deletes all of Windows has some 20 MiB of them. */
export const maxTombstonesBytes = 64 * 1024 * 1024;

/** Bytes of the attributes before a backup stream. */
export const attributesBytes = 4;

export function encodeAttributes(attributes: number): Buffer {
  const bytes = Buffer.alloc(attributesBytes);
  bytes.writeUInt32LE(attributes);
  return bytes;
}

export function decodeAttributes(bytes: Buffer): number {
  if (bytes.length < attributesBytes)
    throw damaged('Cannot read the attributes of a file', 'it is too short');
  return bytes.readUInt32LE();
}

/** The file beside a directory that has what the directory has. */
export function directoryDataName(directory: string): string {
  return `${directory}${directoryDataSuffix}`;
}

export function isDirectoryData(name: string): boolean {
  return name.endsWith(directoryDataSuffix);
}

/** Whether a path is below a folder, not the folder itself. Names are compared as they are written. */
export function isBelow(path: string, folder: string): boolean {
  return path.startsWith(`${folder}\\`);
}

/** @param paths Below `Files`, as a layer names them. */
export function encodeTombstones(paths: readonly string[]): Buffer {
  const lines = paths.map((path) => {
    const plain = relativePath(path);
    if (!isBelow(plain, filesFolder) || /[\r\n]/.test(plain))
      throw damaged(`Cannot write tombstone "${path}"`, `it is not of a file below ${filesFolder}`);
    return plain.slice(filesFolder.length);
  });
  return Buffer.from([tombstonesHeader, ...lines].map((line) => `${line}\r\n`).join(''));
}

/** Gives paths below `Files`. Throws ERROR_INVALID_DATA for what is no such file, or leads anywhere else. */
export function decodeTombstones(bytes: Uint8Array): string[] {
  const action = `Cannot read ${tombstonesFile}`;
  if (bytes.length > maxTombstonesBytes)
    throw damaged(action, `it has ${bytes.length} bytes, more than ${maxTombstonesBytes}`);
  const [header, ...lines] = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('utf8')
    .split(/\r?\n/);
  if (header !== tombstonesHeader) throw damaged(action, 'it does not begin with "Version 1.0"');
  return lines.filter((line) => line !== '').map((line) => tombstonePath(line, action));
}

function tombstonePath(line: string, action: string): string {
  try {
    if (line.startsWith('\\')) return `${filesFolder}\\${relativePath(line.slice(1))}`;
  } catch (cause) {
    throw damaged(action, (cause as HcsError).problem, cause);
  }
  throw damaged(action, 'a line does not begin with "\\"');
}

function damaged(action: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({ action, problem, code: 'ERROR_INVALID_DATA', cause });
}
