import { describeFlags, FlagError, type Flags, type FlagValues, parseFlags } from '@hcsshim/program';
import type { JobLimits } from '@hcsshim/windows';

const useNt = {
  names: ['use-nt'],
  meaning: 'NAME is a native path, as \\BaseNamedObjects\\example or \\Container_ID',
} as const;

const getFlags = {
  useNt,
  cpuLimit: { names: ['cpu-limit'], meaning: 'the CPU limit, in hundredths of a percent of all processors' },
  cpuWeight: { names: ['cpu-weight'], meaning: 'the CPU weight, 1 to 9' },
  memoryLimit: { names: ['memory-limit'], meaning: 'the memory limit in bytes; 0 is none' },
  cpuAffinity: { names: ['cpu-affinity'], meaning: 'the processors as binary digits; 0 is all' },
} as const satisfies Flags;

const setFlags = {
  useNt,
  cpuLimit: {
    names: ['cpu-limit'],
    value: 'N',
    meaning: 'at most so many hundredths of a percent of all processors, 1 to 10000',
  },
  cpuWeight: { names: ['cpu-weight'], value: 'N', meaning: 'a share against other jobs, 1 to 9' },
  memoryLimit: { names: ['memory-limit'], value: 'BYTES', meaning: 'memory of all processes together' },
  cpuAffinity: {
    names: ['cpu-affinity'],
    value: 'BITS',
    meaning: 'the processors as binary digits: 101 is the first and the third',
  },
} as const satisfies Flags;

export const usage = `Usage: jobobject-util get [flags] NAME
       jobobject-util set [flags] NAME

Reads or sets the limits of a job object, which must exist. A job has a CPU limit or a CPU weight, not both.

Of get:

${describeFlags(getFlags)}
Of set:

${describeFlags(setFlags)}`;

export type WantedLimit = 'cpu-limit' | 'cpu-weight' | 'memory-limit' | 'cpu-affinity';

export type CommandLine =
  | { command: 'help' }
  | { command: 'get'; name: string; useNt: boolean; wanted: WantedLimit[] }
  | { command: 'set'; name: string; useNt: boolean; limits: JobLimits };

/** Throws FlagError for a command line that it does not understand. */
export function readCommandLine(words: readonly string[]): CommandLine {
  const { rest, help } = parseFlags({}, words);
  const [command, ...commandWords] = rest;
  if (help || command === undefined || command === 'help' || command === 'h') return { command: 'help' };
  if (command === 'get') return readGet(commandWords);
  if (command === 'set') return readSet(commandWords);
  throw new FlagError(`Cannot understand "${command}": there is no command of this name`);
}

function readGet(words: readonly string[]): CommandLine {
  const { values, rest, help } = parseFlags(getFlags, words);
  if (help) return { command: 'help' };
  const name = readName(rest);
  refuseBoth(values.cpuLimit, values.cpuWeight);
  const { cpuLimit, cpuWeight, memoryLimit, cpuAffinity } = values;
  const asked = {
    'cpu-limit': cpuLimit,
    'cpu-weight': cpuWeight,
    'memory-limit': memoryLimit,
    'cpu-affinity': cpuAffinity,
  };
  const wanted = Object.entries(asked).flatMap(([limit, isAsked]) => (isAsked ? [limit as WantedLimit] : []));
  return { command: 'get', name, useNt: values.useNt, wanted };
}

function readSet(words: readonly string[]): CommandLine {
  const { values, rest, help } = parseFlags(setFlags, words);
  if (help) return { command: 'help' };
  const name = readName(rest);
  const limits = readLimits(values);
  if (Object.keys(limits).length === 0) throw new FlagError('Cannot set limits: none is given');
  return { command: 'set', name, useNt: values.useNt, limits };
}

function readLimits({
  cpuLimit,
  cpuWeight,
  memoryLimit,
  cpuAffinity,
}: FlagValues<typeof setFlags>): JobLimits {
  refuseBoth(cpuLimit, cpuWeight);
  const limits: JobLimits = {};
  if (cpuLimit !== undefined) limits.cpu = { rate: Number(readNumber('--cpu-limit', cpuLimit)) };
  if (cpuWeight !== undefined) limits.cpu = { weight: Number(readNumber('--cpu-weight', cpuWeight)) };
  if (memoryLimit !== undefined) limits.memory = readNumber('--memory-limit', memoryLimit);
  if (cpuAffinity !== undefined) limits.affinity = readBits(cpuAffinity);
  return limits;
}

function readName([name, another]: readonly string[]): string {
  if (!name) throw new FlagError('Cannot start: the name of a job object is missing');
  if (another !== undefined) throw new FlagError(`Cannot understand "${another}": flags go before the name`);
  return name;
}

function refuseBoth(limit: unknown, weight: unknown): void {
  if (limit && weight) {
    throw new FlagError('Cannot take both --cpu-limit and --cpu-weight: a job has one of them');
  }
}

/** Decimal, or hexadecimal with 0x. */
function readNumber(flag: string, text: string): bigint {
  if (/^(\d{1,20}|0x[0-9a-f]{1,16})$/i.test(text)) return BigInt(text);
  throw new FlagError(`Cannot take ${flag} "${text}": give a number`);
}

function readBits(text: string): bigint {
  if (/^[01]{1,64}$/.test(text)) return BigInt(`0b${text}`);
  throw new FlagError(`Cannot take --cpu-affinity "${text}": give up to 64 binary digits, as 1101`);
}
