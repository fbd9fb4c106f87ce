import { struct } from '../struct.ts';

/** Times are in 100 ns. */
export const basicAccounting = struct({
  totalUserTime: 'INT64',
  totalKernelTime: 'INT64',
  thisPeriodTotalUserTime: 'INT64',
  thisPeriodTotalKernelTime: 'INT64',
  totalPageFaultCount: 'DWORD',
  totalProcesses: 'DWORD',
  activeProcesses: 'DWORD',
  totalTerminatedProcesses: 'DWORD',
});

const basicLimitFields = {
  perProcessUserTimeLimit: 'INT64',
  perJobUserTimeLimit: 'INT64',
  limitFlags: 'DWORD',
  minimumWorkingSetSize: 'SIZE_T',
  maximumWorkingSetSize: 'SIZE_T',
  activeProcessLimit: 'DWORD',
  affinity: 'SIZE_T',
  priorityClass: 'DWORD',
  schedulingClass: 'DWORD',
} as const;

const ioCounterFields = {
  readOperationCount: 'UINT64',
  writeOperationCount: 'UINT64',
  otherOperationCount: 'UINT64',
  readTransferCount: 'UINT64',
  writeTransferCount: 'UINT64',
  otherTransferCount: 'UINT64',
} as const;

/** `JOBOBJECT_EXTENDED_LIMIT_INFORMATION`; memory in bytes. */
export const extendedLimit = struct({
  ...basicLimitFields,
  ...ioCounterFields,
  processMemoryLimit: 'SIZE_T',
  jobMemoryLimit: 'SIZE_T',
  peakProcessMemoryUsed: 'SIZE_T',
  peakJobMemoryUsed: 'SIZE_T',
});

export const cpuRateControlInformation = struct({ controlFlags: 'DWORD', value: 'DWORD' });

/** `JOBOBJECT_IO_RATE_CONTROL_INFORMATION`: operations and bytes per second; no volume name is all volumes. */
export const ioRateControlInformation = struct({
  maxIops: 'INT64',
  maxBandwidth: 'INT64',
  reservationIops: 'INT64',
  volumeName: 'POINTER',
  baseIoSize: 'DWORD',
  controlFlags: 'DWORD',
});

/** Bytes. */
export const memoryUsage = struct({ jobMemory: 'UINT64', peakJobMemoryUsed: 'UINT64' });

/** `JOBOBJECT_IO_ATTRIBUTION_INFORMATION`; times in 100 ns, sizes in bytes. */
export const ioAttribution = struct({
  controlFlags: 'DWORD',
  readCount: 'SIZE_T',
  readQueueTime: 'UINT64',
  readServiceTime: 'UINT64',
  readSize: 'UINT64',
  writeCount: 'SIZE_T',
  writeQueueTime: 'UINT64',
  writeServiceTime: 'UINT64',
  writeSize: 'UINT64',
});

export const associateCompletionPort = struct({ completionKey: 'UINT64', completionPort: 'UINT64' });

/** Before the process ids, which are of 64 bits each. */
export const processIdListHead = struct({ assigned: 'DWORD', listed: 'DWORD' });

export const groupAffinity = struct({
  mask: 'SIZE_T',
  group: 'USHORT',
  reserved0: 'USHORT',
  reserved1: 'USHORT',
  reserved2: 'USHORT',
});

export const siloBasicInformation = struct({
  siloId: 'DWORD',
  siloParentId: 'DWORD',
  numberOfProcesses: 'DWORD',
  isInServerSilo: 'BYTE',
  reserved0: 'BYTE',
  reserved1: 'BYTE',
  reserved2: 'BYTE',
});

/** `VM_COUNTERS_EX2` of one process; bytes. */
export const vmCounters = struct({
  peakVirtualSize: 'SIZE_T',
  virtualSize: 'SIZE_T',
  pageFaultCount: 'DWORD',
  peakWorkingSetSize: 'SIZE_T',
  workingSetSize: 'SIZE_T',
  quotaPeakPagedPoolUsage: 'SIZE_T',
  quotaPagedPoolUsage: 'SIZE_T',
  quotaPeakNonPagedPoolUsage: 'SIZE_T',
  quotaNonPagedPoolUsage: 'SIZE_T',
  pagefileUsage: 'SIZE_T',
  peakPagefileUsage: 'SIZE_T',
  privateUsage: 'SIZE_T',
  privateWorkingSetSize: 'SIZE_T',
  sharedCommitUsage: 'SIZE_T',
});

/** `OVERLAPPED_ENTRY`; of a job's message the key, the process's id in place of a pointer, and the message in place of a count. */
export const completionEntry = struct({
  key: 'UINT64',
  overlapped: 'UINT64',
  internal: 'UINT64',
  bytesTransferred: 'DWORD',
});
