import { bind } from '../bind.ts';
import { DllCallError } from '../dll-call-error.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import type { Handle } from '../procedure.ts';
import { jobInformation } from './constants.ts';
import { processIdListHead } from './layouts.ts';

/** ERROR_MORE_DATA */
const moreData = 234;
const maxProcesses = 1 << 20;

/** Ids of the processes in a job. Their number may change while they are listed, so the list is asked for until it fits. */
export function processIds(job: Handle<'HANDLE'>): number[] {
  const { QueryInformationJobObject } = bind(kernel32);
  const { size } = processIdListHead;
  const informationClass = jobInformation.BasicProcessIdList;
  for (let room = 64; ; room *= 2) {
    const information = Buffer.alloc(size + 8 * room);
    try {
      QueryInformationJobObject({ job, informationClass, information, length: information.length });
    } catch (error) {
      if (!(error instanceof DllCallError) || error.status !== moreData || room >= maxProcesses) throw error;
      continue;
    }
    const { listed } = processIdListHead.decode(information);
    const count = Math.min(listed, room);
    return Array.from({ length: count }, (_, index) => Number(information.readBigUInt64LE(size + 8 * index)));
  }
}
