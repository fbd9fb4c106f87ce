import { bind } from '../bind.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { koffi } from '../koffi.ts';
import type { Handle } from '../procedure.ts';
import { cpuRange, cpuRateControl, ioRateControlEnable, jobInformation, jobLimit } from './constants.ts';
import {
  cpuRateControlInformation,
  extendedLimit,
  groupAffinity,
  ioRateControlInformation,
} from './layouts.ts';
import { queryJob, setJob } from './query.ts';

/**
 * A share of the processors: a hard limit in hundredths of a percent of all of them (1 to 10000), or a weight against other
 * jobs (1 to 9, 5 is usual).
 */
export type CpuLimit = { rate: number } | { weight: number };

/** Processors of one group of up to 64, as bits. */
export interface GroupAffinity {
  group: number;
  mask: bigint;
}

/** Limits of I/O on all volumes; 0 is none. */
export interface IoLimits {
  /** Operations per second. */
  maxIops: bigint;
  /** Bytes per second. */
  maxBandwidth: bigint;
}

/** What a job is limited to. What is left out stays as it is. */
export interface JobLimits {
  cpu?: CpuLimit | undefined;
  /** Committed memory of all processes together, in bytes. */
  memory?: bigint | undefined;
  /** Processors of group 0, as bits. */
  affinity?: bigint | undefined;
  /** Processors of machines with more than 64; takes the place of `affinity`. */
  groupAffinities?: readonly GroupAffinity[] | undefined;
  io?: Partial<IoLimits> | undefined;
}

type Job = Handle<'HANDLE'>;

const largest = 0xffffffffffffffffn;

export function setLimits(job: Job, { cpu, memory, affinity, groupAffinities, io }: JobLimits): void {
  if (memory !== undefined) setMemoryLimit(job, memory);
  if (cpu !== undefined) setCpuLimit(job, cpu);
  if (groupAffinities !== undefined) setGroupAffinities(job, groupAffinities);
  else if (affinity !== undefined) setAffinity(job, affinity);
  if (io !== undefined) setIoLimits(job, io);
}

function setMemoryLimit(job: Job, bytes: bigint): void {
  inRange('a memory limit', bytes, 1n, largest - 1n);
  changeExtendedLimit(job, jobLimit.JOB_MEMORY, { jobMemoryLimit: bytes });
}

/** Undefined when there is none. */
export function memoryLimit(job: Job): bigint | undefined {
  const { limitFlags, jobMemoryLimit } = extendedLimits(job);
  return limitFlags & jobLimit.JOB_MEMORY ? jobMemoryLimit : undefined;
}

function setAffinity(job: Job, affinity: bigint): void {
  inRange('an affinity', affinity, 1n, largest);
  changeExtendedLimit(job, jobLimit.AFFINITY, { affinity });
}

/** Undefined when there is none. */
export function affinity(job: Job): bigint | undefined {
  const { limitFlags, affinity: mask } = extendedLimits(job);
  return limitFlags & jobLimit.AFFINITY ? mask : undefined;
}

export function terminateOnClose(job: Job): void {
  changeExtendedLimit(job, jobLimit.KILL_ON_JOB_CLOSE, {});
}

type ExtendedLimits = ReturnType<typeof extendedLimit.decode>;

function extendedLimits(job: Job): ExtendedLimits {
  return queryJob(job, jobInformation.ExtendedLimitInformation, extendedLimit);
}

/** The structure holds all limits of its kind: those that are set must be in it again. */
function changeExtendedLimit(job: Job, flag: number, values: Partial<ExtendedLimits>): void {
  const limits = extendedLimits(job);
  const changed = { ...limits, ...values, limitFlags: limits.limitFlags | flag };
  setJob(job, jobInformation.ExtendedLimitInformation, extendedLimit.encode(changed));
}

/** A rate takes the place of a weight, and the other way round. */
function setCpuLimit(job: Job, limit: CpuLimit): void {
  const [value, kind] = 'rate' in limit ? [limit.rate, 'rate' as const] : [limit.weight, 'weight' as const];
  inRange(`a CPU ${kind}`, value, cpuRange[kind].min, cpuRange[kind].max);
  const how = kind === 'rate' ? cpuRateControl.HARD_CAP : cpuRateControl.WEIGHT_BASED;
  const information = cpuRateControlInformation.encode({ controlFlags: cpuRateControl.ENABLE | how, value });
  setJob(job, jobInformation.CpuRateControlInformation, information);
}

/** Undefined when there is none, or one of another kind. */
export function cpuLimit(job: Job): CpuLimit | undefined {
  const information = queryJob(job, jobInformation.CpuRateControlInformation, cpuRateControlInformation);
  const { controlFlags, value } = information;
  if (!(controlFlags & cpuRateControl.ENABLE)) return undefined;
  if (controlFlags & cpuRateControl.HARD_CAP) return { rate: value };
  if (controlFlags & cpuRateControl.WEIGHT_BASED) return { weight: value };
  return undefined;
}

function setGroupAffinities(job: Job, affinities: readonly GroupAffinity[]): void {
  if (affinities.length === 0)
    throw new RangeError('Cannot set group affinities: there are none, give one at least');
  const information = Buffer.concat(affinities.map((one) => groupAffinity.encode(one)));
  setJob(job, jobInformation.GroupInformationEx, information);
}

/** More groups than any Windows has. */
const maxGroups = 64;

export function groupAffinities(job: Job): GroupAffinity[] {
  const information = Buffer.alloc(maxGroups * groupAffinity.size);
  const { returnLength } = bind(kernel32).QueryInformationJobObject({
    job,
    informationClass: jobInformation.GroupInformationEx,
    information,
    length: information.length,
  });
  const count = Math.min(Math.floor(returnLength / groupAffinity.size), maxGroups);
  return Array.from({ length: count }, (_, index) => {
    const { mask, group } = groupAffinity.decode(information.subarray(index * groupAffinity.size));
    return { group, mask };
  });
}

function setIoLimits(job: Job, limits: Partial<IoLimits>): void {
  for (const [name, value] of Object.entries(limits))
    inRange(`the I/O limit "${name}"`, value, 0n, largest >> 1n);
  const information = ioRateControlInformation.encode({
    ...readIoLimits(job),
    ...limits,
    // Memory of the system's, which has been freed; without a name it is for all volumes.
    volumeName: 0n,
    controlFlags: ioRateControlEnable,
  });
  bind(kernel32).SetIoRateControlInformationJobObject({ job, information });
}

/** Undefined when there are none. */
export function ioLimits(job: Job): IoLimits | undefined {
  const information = readIoLimits(job);
  if (information === undefined || !(information.controlFlags & ioRateControlEnable)) return undefined;
  const { maxIops, maxBandwidth } = information;
  return { maxIops, maxBandwidth };
}

type IoRateControl = ReturnType<typeof ioRateControlInformation.decode>;

function readIoLimits(job: Job): IoRateControl | undefined {
  const { QueryIoRateControlInformationJobObject, FreeMemoryJobObject } = bind(kernel32);
  const { information, count } = QueryIoRateControlInformationJobObject({ job, volumeName: null });
  if (information === 0n) return undefined;
  try {
    if (count === 0) return undefined;
    const bytes = koffi().view(information, ioRateControlInformation.size);
    return ioRateControlInformation.decode(Buffer.from(bytes));
  } finally {
    FreeMemoryJobObject({ memory: information });
  }
}

function inRange<T extends number | bigint>(what: string, value: T, min: T, max: T): void {
  if (typeof value === typeof min && value >= min && value <= max) return;
  throw new RangeError(`Cannot use ${value} as ${what}: it must be from ${min} to ${max}`);
}
