import { describeFlags, FlagError, type Flags, parseFlags } from '@hcsshim/program';
import { deviceLocationPath, listChildDevices, listObjectDirectory, requireWindows } from '@hcsshim/windows';

const objDirFlags = {
  dir: {
    names: ['dir'],
    value: 'PATH',
    meaning: 'the directory; \\Global??, the names of devices, if absent',
  },
} as const satisfies Flags;

const childrenFlags = {
  parents: {
    names: ['parentID'],
    value: 'ID,…',
    meaning: 'instance ids of the parents, separated by commas',
  },
  property: { names: ['property'], value: 'NAME', meaning: 'id or location; id if absent' },
} as const satisfies Flags;

export const usage = `Usage: device-util obj-dir [flags]
       device-util children --parentID ID,… [flags]

obj-dir lists a directory of Windows' object manager, children the devices on the bus of others. Both print one
line, with commas between.

Of obj-dir:

${describeFlags(objDirFlags)}
Of children:

${describeFlags(childrenFlags)}`;

const globalNames = '\\Global??';

/** Gives the program's output. Throws FlagError for a command line that it does not understand. */
export async function run(words: readonly string[], signal: AbortSignal): Promise<string> {
  const { rest, help } = parseFlags({}, words);
  const [command, ...commandWords] = rest;
  if (help || command === undefined || command === 'help' || command === 'h') return usage;
  if (command === 'obj-dir') return listDirectory(commandWords, signal);
  if (command === 'children') return listChildren(commandWords, signal);
  throw new FlagError(`Cannot understand "${command}": there is no command of this name`);
}

async function listDirectory(words: readonly string[], signal: AbortSignal): Promise<string> {
  const { values, rest, help } = parseFlags(objDirFlags, words);
  if (help) return usage;
  refuseWords(rest);
  requireWindows('list an object directory');
  const entries = await listObjectDirectory(values.dir ?? globalNames, signal);
  return line(entries.map(({ name }) => name));
}

async function listChildren(words: readonly string[], signal: AbortSignal): Promise<string> {
  const { values, rest, help } = parseFlags(childrenFlags, words);
  if (help) return usage;
  refuseWords(rest);
  const { parents, property = 'id' } = values;
  if (!parents) throw new FlagError('Cannot list children: --parentID is missing');
  if (property !== 'id' && property !== 'location') {
    throw new FlagError(`Cannot list property "${property}": choose id or location`);
  }
  requireWindows('list devices');
  const children = await listChildDevices(parents.split(','), signal);
  if (property === 'id') return line(children);
  const paths: string[] = [];
  for (const id of children) {
    signal.throwIfAborted();
    paths.push(await deviceLocationPath(id));
  }
  return line(paths);
}

function line(names: readonly string[]): string {
  return `${names.join(',')}\n`;
}

function refuseWords([word]: readonly string[]): void {
  if (word !== undefined) throw new FlagError(`Cannot understand "${word}": it is no flag`);
}
