import { HcsError } from '@hcsshim/schema';
import { struct } from '@hcsshim/windows';

/** `FILE_ATTRIBUTE_…` (winnt.h), those that decide how a file is treated. */
export const fileAttributes = { readOnly: 0x1, directory: 0x10, normal: 0x80, reparsePoint: 0x400 } as const;

/** Times are FILETIMEs: units of 100 ns since the year 1601. */
export interface FileBasicInfo {
  creationTime: bigint;
  lastAccessTime: bigint;
  lastWriteTime: bigint;
  /** When anything of it changed last, its attributes too. */
  changeTime: bigint;
  /** `FILE_ATTRIBUTE_…` (winnt.h). 0 leaves those that a file has. */
  attributes: number;
}

/** How many names a file has, and what tells that two names are of the same file. */
export interface FileLinkInfo {
  links: number;
  volumeSerialNumber: bigint;
  /** 128 bits. */
  fileId: bigint;
}

/** What a directory tells of what is in it. */
export interface DirectoryEntry {
  name: string;
  /** `FILE_ATTRIBUTE_…` (winnt.h). */
  attributes: number;
  /** `IO_REPARSE_TAG_…` of a reparse point, 0 otherwise. */
  reparseTag: number;
}

/** `FILE_BASIC_INFO` (winbase.h). */
export const basicInfo = struct({
  creationTime: 'INT64',
  lastAccessTime: 'INT64',
  lastWriteTime: 'INT64',
  changeTime: 'INT64',
  attributes: 'DWORD',
});

/** `FILE_STANDARD_INFO` (winbase.h). */
export const standardInfo = struct({
  allocationSize: 'INT64',
  endOfFile: 'INT64',
  numberOfLinks: 'DWORD',
  deletePending: 'BYTE',
  directory: 'BYTE',
});

/** `FILE_ID_INFO` (winbase.h), the id as two halves. */
export const idInfo = struct({ volumeSerialNumber: 'UINT64', low: 'UINT64', high: 'UINT64' });

/** The head of a `FILE_FULL_DIR_INFO` (winbase.h), before the name. For a reparse point `eaSize` is its tag. */
const directoryInfo = struct({
  nextEntryOffset: 'DWORD',
  fileIndex: 'DWORD',
  creationTime: 'INT64',
  lastAccessTime: 'INT64',
  lastWriteTime: 'INT64',
  changeTime: 'INT64',
  endOfFile: 'INT64',
  allocationSize: 'INT64',
  attributes: 'DWORD',
  fileNameLength: 'DWORD',
  eaSize: 'DWORD',
});
const nameOffset = 68;

/** Reads a list of `FILE_FULL_DIR_INFO`, without `.` and `..`. Throws ERROR_INVALID_DATA for one that leaves its bytes. */
export function decodeDirectoryEntries(bytes: Buffer): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; ; ) {
    if (at + directoryInfo.size > bytes.length) throw damaged();
    const { nextEntryOffset, attributes, fileNameLength, eaSize } = directoryInfo.decode(bytes.subarray(at));
    const end = at + nameOffset + fileNameLength;
    if (end > bytes.length) throw damaged();
    const name = bytes.toString('utf16le', at + nameOffset, end);
    const isReparsePoint = (attributes & fileAttributes.reparsePoint) !== 0;
    if (name !== '.' && name !== '..')
      entries.push({ name, attributes, reparseTag: isReparsePoint ? eaSize : 0 });
    if (nextEntryOffset === 0) return entries;
    at += nextEntryOffset;
  }
}

/**
 * `FILE_LINK_INFORMATION` (ntifs.h), which replaces nothing: at 8 the directory, at 16 the length of the name, then that. Never shorter than
 * the C structure is with the one character that it has, or a name of one character would be refused.
 */
export function linkInformation(name: string, directory: bigint): Buffer {
  const text = Buffer.from(name, 'utf16le');
  const bytes = Buffer.alloc(Math.max(24, 20 + text.length));
  bytes.writeBigUInt64LE(directory, 8);
  bytes.writeUInt32LE(text.length, 16);
  text.copy(bytes, 20);
  return bytes;
}

function damaged(): HcsError {
  return new HcsError({
    action: 'Cannot read the list of a directory',
    problem: 'an entry ends behind the list',
    code: 'ERROR_INVALID_DATA',
  });
}
