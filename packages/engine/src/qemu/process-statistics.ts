import { readFile } from 'node:fs/promises';
import type { SystemStatistics } from '@hcsshim/schema';

/** Linux reports CPU times in hundredths of a second on every machine (`USER_HZ`). */
const ticksPer100ns = 100_000;

/** CPU time and memory of a process, by proc(5). */
export async function processStatistics(
  pid: number,
): Promise<Pick<SystemStatistics, 'Processor' | 'Memory'>> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ]);
  // The second field is the command's name in parentheses, which may hold anything, also parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const user = Number(fields[11]) * ticksPer100ns;
  const kernel = Number(fields[12]) * ticksPer100ns;
  const resident = kibibytes(status, 'VmRSS');
  return {
    Processor: { TotalRuntime100ns: user + kernel, RuntimeUser100ns: user, RuntimeKernel100ns: kernel },
    Memory: {
      MemoryUsageCommitBytes: resident,
      // The guest's memory counts as shared, since it is a file; but nobody else pays for it.
      MemoryUsagePrivateWorkingSetBytes: resident - kibibytes(status, 'RssFile'),
    },
  };
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
}
