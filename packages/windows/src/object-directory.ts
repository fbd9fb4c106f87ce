import { bind } from './bind.ts';
import { DllCallError } from './dll-call-error.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { ntdll } from './dlls/ntdll.ts';
import { koffi } from './koffi.ts';
import { objectAttributes, unicodeString } from './object-attributes.ts';
import type { Handle } from './procedure.ts';
import { attemptAsync } from './windows-error.ts';

/** One object of a directory of the object manager. */
export interface DirectoryEntry {
  name: string;
  /** `Device`, `SymbolicLink`, `Directory`, `Event`, `Job` … */
  type: string;
}

/** `DIRECTORY_QUERY` (ntifs.h). */
const directoryQuery = 1;
/** STATUS_NO_MORE_ENTRIES */
const noMoreEntries = 0x8000001a;
/** Names have 32767 characters at most, so that any entry fits. */
const bufferSize = 256 * 1024;

/**
 * Lists a directory of the object manager: `\Global??` has the names that devices are known by, `\BaseNamedObjects` events and jobs.
 * `/` counts as `\`. An object that comes or goes meanwhile may be in the list or not. Rejects with a WindowsError.
 */
export async function listObjectDirectory(path: string, signal?: AbortSignal): Promise<DirectoryEntry[]> {
  signal?.throwIfAborted();
  const native = path.replaceAll('/', '\\');
  return attemptAsync(`list object directory "${native}"`, async () => {
    const { directory } = await bind(ntdll).NtOpenDirectoryObject({
      desiredAccess: directoryQuery,
      objectAttributes: objectAttributes(native),
    });
    using _ = { [Symbol.dispose]: () => void bind(kernel32).CloseHandle({ object: directory }) };
    const entries: DirectoryEntry[] = [];
    const buffer = Buffer.alloc(bufferSize);
    for (let context: number | undefined = 0; ; ) {
      signal?.throwIfAborted();
      context = await next(directory, context, buffer);
      if (context === undefined) return entries;
      const typeAt = unicodeString.size;
      entries.push({ name: readText(buffer, 0), type: readText(buffer, typeAt) });
    }
  });
}

/**
 * Has the next entry put into `buffer` (`OBJECT_DIRECTORY_INFORMATION`: name and type, then what they point at). Gives where to
 * go on, or undefined at the end of the directory.
 */
async function next(
  directory: Handle<'HANDLE'>,
  context: number,
  buffer: Buffer,
): Promise<number | undefined> {
  try {
    const answer = await bind(ntdll).NtQueryDirectoryObject({
      directory,
      buffer,
      length: buffer.length,
      returnSingleEntry: true,
      restartScan: context === 0,
      context,
    });
    return answer.context;
  } catch (error) {
    if (error instanceof DllCallError && error.status === noMoreEntries) return undefined;
    throw error;
  }
}

function readText(buffer: Buffer, at: number): string {
  const { length, buffer: address } = unicodeString.decode(buffer.subarray(at));
  if (length === 0) return '';
  const begin = address - koffi().address(buffer);
  if (begin < 0n || begin + BigInt(length) > BigInt(buffer.length)) {
    throw new RangeError('Cannot read an entry of an object directory: it points outside of the list');
  }
  return buffer.toString('utf16le', Number(begin), Number(begin) + length);
}
