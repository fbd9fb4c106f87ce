import { describeHresult } from '@hcsshim/schema';
import type { ProcessStatus } from '@hcsshim/schema/hcs';
import type { ProcessExit } from '../compute-process.ts';

/**
 * How a process ended, from its `ProcessStatus`: the document of an event `HcsEventProcessExited`, or the
 * properties of the process. Undefined when it does not say that the process has ended.
 */
export function exitOfStatus(status: ProcessStatus): ProcessExit | undefined {
  const { Exited, ExitCode, LastWaitResult } = status;
  if (Exited === false) return undefined;
  if (typeof LastWaitResult === 'number' && LastWaitResult !== 0)
    return unknownExit(`the wait for its end failed with ${describeHresult(LastWaitResult >>> 0)}`);
  if (typeof ExitCode === 'number') return { exitCode: ExitCode >>> 0 };
  return Exited === true ? unknownExit('the Host Compute Service does not tell its exit code') : undefined;
}

export function unknownExit(reason: string): ProcessExit {
  return { exitCode: -1, reason };
}

/** The document of an event. From one that cannot be read comes one that says nothing. */
export function readProcessStatus(data: string | null): ProcessStatus {
  try {
    return (JSON.parse(data ?? '{}') as ProcessStatus | null) ?? {};
  } catch {
    return {};
  }
}
