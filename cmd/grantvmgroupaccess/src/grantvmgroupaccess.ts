import { win32 } from 'node:path';
import { describeFlags, FlagError, type Flags, parseFlags } from '@hcsshim/program';
import { type GenericRight, grantVmGroupAccess } from '@hcsshim/storage/windows';
import { requireWindows } from '@hcsshim/windows';

const flags = {
  read: { names: ['read'], meaning: 'grant GENERIC_READ; this one if no flag is given' },
  write: { names: ['write'], meaning: 'grant GENERIC_WRITE' },
  execute: { names: ['execute'], meaning: 'grant GENERIC_EXECUTE' },
  all: { names: ['all'], meaning: 'grant GENERIC_ALL' },
} as const satisfies Record<GenericRight, Flags[string]>;

export const usage = `Usage: grantvmgroupaccess [flags] FILE

Lets all virtual machines of the host (the group S-1-5-83-0) use a file, or a directory and what is below it.

${describeFlags(flags)}
As in: grantvmgroupaccess --read --execute disk.vhdx
`;

/** Gives the program's output. Throws FlagError for a command line that it does not understand. */
export async function run(words: readonly string[], signal: AbortSignal): Promise<string> {
  const { values, rest, help } = parseFlags(flags, words);
  if (help) return usage;
  const [path, another] = rest;
  if (!path) throw new FlagError('Cannot start: the file is missing');
  if (another !== undefined) throw new FlagError(`Cannot understand "${another}": give one file`);
  const rights = (Object.keys(flags) as GenericRight[]).filter((right) => values[right]);
  requireWindows('grant access to virtual machines');
  await grantVmGroupAccess(win32.resolve(path), { ...(rights.length > 0 && { rights }), signal });
  return '';
}
