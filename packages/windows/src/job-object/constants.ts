/** Facts of job objects, by their names in winnt.h and jobapi2.h without the common prefix. */

/** `JOB_OBJECT_MSG_*`: what a job tells its completion port. */
export const jobMessages = {
  END_OF_JOB_TIME: 1,
  END_OF_PROCESS_TIME: 2,
  ACTIVE_PROCESS_LIMIT: 3,
  ACTIVE_PROCESS_ZERO: 4,
  NEW_PROCESS: 6,
  EXIT_PROCESS: 7,
  ABNORMAL_EXIT_PROCESS: 8,
  PROCESS_MEMORY_LIMIT: 9,
  JOB_MEMORY_LIMIT: 10,
  NOTIFICATION_LIMIT: 11,
} as const;

export type JobMessage = keyof typeof jobMessages;

/** `JOBOBJECTINFOCLASS`: what is asked about a job, or set. */
export const jobInformation = {
  BasicAccountingInformation: 1,
  BasicProcessIdList: 3,
  AssociateCompletionPortInformation: 7,
  ExtendedLimitInformation: 9,
  GroupInformationEx: 14,
  CpuRateControlInformation: 15,
  MemoryUsageInformation: 28,
  CreateSilo: 35,
  SiloBasicInformation: 36,
  IoAttribution: 42,
} as const;

/** `JOB_OBJECT_LIMIT_*` */
export const jobLimit = { AFFINITY: 0x10, JOB_MEMORY: 0x200, KILL_ON_JOB_CLOSE: 0x2000 } as const;

/** `JOB_OBJECT_CPU_RATE_CONTROL_*` */
export const cpuRateControl = { ENABLE: 1, WEIGHT_BASED: 2, HARD_CAP: 4 } as const;

/** `JOB_OBJECT_IO_RATE_CONTROL_ENABLE` */
export const ioRateControlEnable = 1;

/** `JOBOBJECT_IO_ATTRIBUTION_CONTROL_ENABLE` */
export const ioAttributionEnable = 1;

/** `JOB_OBJECT_ALL_ACCESS` */
export const jobAllAccess = 0x1f003f;

/** Smallest and largest values that a job takes: the rate in hundredths of a percent of all processors, the weight. */
export const cpuRange = { rate: { min: 1, max: 10_000 }, weight: { min: 1, max: 9 } } as const;
