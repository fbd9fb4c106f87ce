import { bind } from '../bind.ts';
import { DllCallError } from '../dll-call-error.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { ntdll } from '../dlls/ntdll.ts';
import type { Handle } from '../procedure.ts';
import { vmCounters } from './layouts.ts';
import { processIds } from './process-ids.ts';

/** `PROCESS_QUERY_LIMITED_INFORMATION` (winnt.h). */
const queryLimited = 0x1000;
/** `ProcessVmCounters` (ntddk.h). */
const processVmCounters = 3;

/** Private working sets of all processes in a job together, in bytes. */
export function privateWorkingSet(job: Handle<'HANDLE'>): bigint {
  return processIds(job).reduce((sum, processId) => sum + ofProcess(job, processId), 0n);
}

/** 0 for a process that has ended since it was listed. */
function ofProcess(job: Handle<'HANDLE'>, processId: number): bigint {
  const opened = open(processId);
  if (opened === undefined) return 0n;
  try {
    // The id may be another process's by now.
    if (!bind(kernel32).IsProcessInJob({ process: opened, job }).result) return 0n;
    const information = vmCounters.encode({});
    bind(ntdll).NtQueryInformationProcess({
      process: opened,
      informationClass: processVmCounters,
      information,
      length: information.length,
    });
    return vmCounters.decode(information).privateWorkingSetSize;
  } finally {
    bind(kernel32).CloseHandle({ object: opened });
  }
}

function open(processId: number): Handle<'HANDLE'> | undefined {
  try {
    return bind(kernel32).OpenProcess({ desiredAccess: queryLimited, inheritHandle: false, processId });
  } catch (error) {
    if (error instanceof DllCallError) return undefined;
    throw error;
  }
}
