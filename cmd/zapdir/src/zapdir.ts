import { stat } from 'node:fs/promises';
import { win32 } from 'node:path';
import { describeFlags, FlagError, type Flags, parseFlags, systemProblem } from '@hcsshim/program';
import { LayerDriver } from '@hcsshim/storage/windows';
import { requireWindows } from '@hcsshim/windows';

const flags = {
  dir: { names: ['dir'], value: 'PATH', meaning: 'the directory' },
} as const satisfies Flags;

export const usage = `Usage: zapdir --dir PATH

Removes the directory of a container layer with all that is in it, also what its owners and rights keep others from. It does
not ask.

${describeFlags(flags)}`;

/** Gives the program's output. Throws FlagError for a command line that it does not understand. */
export async function run(words: readonly string[], signal: AbortSignal): Promise<string> {
  const { values, rest, help } = parseFlags(flags, words);
  if (help) return usage;
  if (rest[0] !== undefined) throw new FlagError(`Cannot understand "${rest[0]}": it is no flag`);
  if (!values.dir) throw new FlagError('Cannot start: --dir is missing');
  requireWindows('remove a layer');
  const path = win32.resolve(values.dir);
  await stat(path).catch((cause) => {
    throw new Error(`Cannot remove "${path}": ${systemProblem(cause)}`, { cause });
  });
  await new LayerDriver().destroy(path, { signal });
  return '';
}
