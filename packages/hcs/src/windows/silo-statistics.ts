import type { SystemProperties, SystemStatistics } from '@hcsshim/schema';
import type { SystemPropertyQuery } from '@hcsshim/schema/hcs';
import { JobObject } from '@hcsshim/windows';
import { phase } from '../phase.ts';

/** When a container was started, by the wall clock, and by the one that only goes forward. */
export interface StartTime {
  date: Date;
  /** `performance.now()`. */
  mark: number;
}

export function startTimeNow(): StartTime {
  return { date: new Date(), mark: performance.now() };
}

/** Upstream takes the type in any case. */
export function isContainer({ SystemType }: Partial<SystemProperties>): boolean {
  return String(SystemType).toLowerCase() === 'container';
}

/** What of a query is still to be asked once the statistics are known; undefined for nothing. */
export function withoutStatistics({
  PropertyTypes = [],
  ...others
}: SystemPropertyQuery): SystemPropertyQuery | undefined {
  const types = PropertyTypes.filter((type) => type !== 'Statistics');
  if (types.length === 0 && Object.keys(others).length === 0) return undefined;
  return { ...others, PropertyTypes: types };
}

/**
 * Statistics of a container that shares the host's kernel, counted in this process: the service would look through
 * all processes of the host for the private working sets. Undefined when anything of it cannot be told here, as for
 * one that has a VM of its own and so no silo on the host; the phase says that it failed.
 */
export async function siloStatistics(id: string, started: StartTime): Promise<SystemStatistics | undefined> {
  try {
    return await phase('windows: statistics of a silo', id, () => readSilo(id, started));
  } catch {
    return undefined;
  }
}

/** The service keeps the silo under this name (upstream `internal/hcs/system.go`), open to LocalSystem alone. */
async function readSilo(id: string, started: StartTime): Promise<SystemStatistics> {
  await using silo = await JobObject.open({ name: `\\Container_${id}`, useNt: true });
  const timestamp = new Date();
  const { jobMemory, peakJobMemoryUsed } = await silo.memoryStatistics();
  const { totalUserTime, totalKernelTime } = await silo.processorStatistics();
  const { readCount, readSize, writeCount, writeSize } = await silo.storageStatistics();
  const privateWorkingSet = await silo.privateWorkingSet();
  return {
    Timestamp: timestamp.toISOString(),
    ContainerStartTime: started.date.toISOString(),
    Uptime100ns: Math.round((performance.now() - started.mark) * 10_000),
    Processor: {
      TotalRuntime100ns: Number(totalUserTime + totalKernelTime),
      RuntimeUser100ns: Number(totalUserTime),
      RuntimeKernel100ns: Number(totalKernelTime),
    },
    Memory: {
      MemoryUsageCommitBytes: Number(jobMemory),
      MemoryUsageCommitPeakBytes: Number(peakJobMemoryUsed),
      MemoryUsagePrivateWorkingSetBytes: Number(privateWorkingSet),
    },
    Storage: {
      ReadCountNormalized: Number(readCount),
      ReadSizeBytes: Number(readSize),
      WriteCountNormalized: Number(writeCount),
      WriteSizeBytes: Number(writeSize),
    },
  };
}
