import { type CpuLimit, JobObject, requireWindows } from '@hcsshim/windows';
import { readCommandLine, usage, type WantedLimit } from './command-line.ts';

export { usage };

/** What is read of a job. */
export interface LimitedJob {
  cpuLimit(): Promise<CpuLimit | undefined>;
  memoryLimit(): Promise<bigint | undefined>;
  affinity(): Promise<bigint | undefined>;
}

/** Gives the program's output. Throws FlagError for a command line that it does not understand. */
export async function run(words: readonly string[]): Promise<string> {
  const commandLine = readCommandLine(words);
  if (commandLine.command === 'help') return usage;
  requireWindows(`${commandLine.command} limits of a job object`);
  const { name, useNt } = commandLine;
  await using job = await JobObject.open({ name, useNt });
  // Awaited here: the job is closed when this function returns.
  if (commandLine.command === 'get') return await describeLimits(job, name, commandLine.wanted);
  await job.setLimits(commandLine.limits);
  return '';
}

const readers: Record<WantedLimit, (job: LimitedJob, name: string) => Promise<number | bigint | string>> = {
  'cpu-limit': async (job, name) => {
    const limit = await job.cpuLimit();
    if (limit !== undefined && 'rate' in limit) return limit.rate;
    throw new Error(
      `Cannot read the CPU limit of job object "${name}": it has ${limit ? 'a weight instead' : 'none'}`,
    );
  },
  'cpu-weight': async (job, name) => {
    const limit = await job.cpuLimit();
    if (limit !== undefined && 'weight' in limit) return limit.weight;
    throw new Error(
      `Cannot read the CPU weight of job object "${name}": it has ${limit ? 'a limit instead' : 'none'}`,
    );
  },
  'memory-limit': async (job) => (await job.memoryLimit()) ?? 0n,
  'cpu-affinity': async (job) => ((await job.affinity()) ?? 0n).toString(2),
};

/** A line for each limit that is wanted, `memory-limit: 1048576`; when none is, for all that are set. */
export async function describeLimits(
  job: LimitedJob,
  name: string,
  wanted: readonly WantedLimit[],
): Promise<string> {
  const lines: string[] = [];
  for (const limit of wanted.length > 0 ? wanted : await limitsThatAreSet(job)) {
    lines.push(`${limit}: ${await readers[limit](job, name)}\n`);
  }
  return lines.join('');
}

async function limitsThatAreSet(job: LimitedJob): Promise<WantedLimit[]> {
  const cpu = await job.cpuLimit();
  const limits: WantedLimit[] = [];
  if (cpu !== undefined) limits.push('rate' in cpu ? 'cpu-limit' : 'cpu-weight');
  if ((await job.memoryLimit()) !== undefined) limits.push('memory-limit');
  if ((await job.affinity()) !== undefined) limits.push('cpu-affinity');
  return limits;
}
