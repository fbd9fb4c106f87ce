import { mkdir } from 'node:fs/promises';
import { win32 } from 'node:path';
import { bind } from '../bind.ts';
import { DllCallError } from '../dll-call-error.ts';
import { bindfltapi } from '../dlls/bindfltapi.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { ntdll } from '../dlls/ntdll.ts';
import { objectAttributes } from '../object-attributes.ts';
import { OwnedHandle } from '../owned-handle.ts';
import type { Handle } from '../procedure.ts';
import { attempt, attemptAsync } from '../windows-error.ts';
import { ioAttributionEnable, jobAllAccess, jobInformation } from './constants.ts';
import { type JobNotification, JobNotifications } from './job-notifications.ts';
import { JobObjectError } from './job-object-error.ts';
import { type JobPortRegistration, registerJob } from './job-port.ts';
import { basicAccounting, ioAttribution, memoryUsage, siloBasicInformation } from './layouts.ts';
import {
  affinity,
  type CpuLimit,
  cpuLimit,
  type GroupAffinity,
  groupAffinities,
  type IoLimits,
  ioLimits,
  type JobLimits,
  memoryLimit,
  setLimits,
  terminateOnClose,
} from './limits.ts';
import { processIds } from './process-ids.ts';
import { queryJob, setJob } from './query.ts';
import { privateWorkingSet } from './working-set.ts';

export interface OpenJobOptions {
  /** `example`; with `useNt` the native path, `\BaseNamedObjects\example`. */
  name: string;
  /** Have the job's messages told by {@link JobObject.notifications}. A job can be registered once. @default false */
  notifications?: boolean;
  /** Use the native calls, which find jobs in any directory of the object manager. @default false */
  useNt?: boolean;
}

export interface CreateJobOptions extends Partial<OpenJobOptions> {
  /** Make it a silo, whose processes end with the job's last handle. @default false */
  silo?: boolean;
  /** Count its I/O, for {@link JobObject.storageStatistics}. @default false */
  ioTracking?: boolean;
}

/** BINDFLT_FLAG_* (hcsshim's internal/winapi). */
const readOnlyMapping = 1;
const currentSiloMapping = 4;

/** `PROCESS_ALL_ACCESS` (winnt.h). */
const processAllAccess = 0x1fffff;

/**
 * A job object: processes that are limited, counted and ended together. The object exists as long as a handle to it is open, or a
 * process is in it. Calls that Windows refuses reject with a WindowsError.
 */
export class JobObject implements AsyncDisposable {
  readonly #handle: OwnedHandle<'HANDLE'>;
  readonly #subject: string;
  readonly #queue = new JobNotifications();
  #registration: JobPortRegistration | undefined;
  #isSilo = false;

  private constructor(job: Handle<'HANDLE'>, name: string | undefined) {
    this.#handle = new OwnedHandle('HANDLE', job, (object) => bind(kernel32).CloseHandle({ object }));
    this.#subject = name === undefined ? 'a job object without a name' : `job object "${name}"`;
  }

  /** Creates a job, or opens the one that has this name. Without a name it can be reached by this object alone. */
  static async create(options: CreateJobOptions = {}): Promise<JobObject> {
    const { name, useNt = false, notifications = false, silo = false, ioTracking = false } = options;
    const handle = attempt(`create job object${name === undefined ? '' : ` "${name}"`}`, () => {
      if (!useNt) return bind(kernel32).CreateJobObjectW({ attributes: null, name: name ?? null });
      const { NtCreateJobObject } = bind(ntdll);
      return NtCreateJobObject({ desiredAccess: jobAllAccess, objectAttributes: objectAttributes(name) }).job;
    });
    const job = new JobObject(handle, name);
    try {
      if (notifications) await job.#register();
      if (ioTracking) await job.trackIo();
      if (silo) {
        await job.setTerminateOnClose();
        await job.promoteToSilo();
      }
    } catch (error) {
      await job.close();
      throw error;
    }
    return job;
  }

  /** Opens a job that exists. */
  static async open({ name, useNt = false, notifications = false }: OpenJobOptions): Promise<JobObject> {
    const handle = attempt(`open job object "${name}"`, () => {
      if (!useNt) {
        return bind(kernel32).OpenJobObjectW({ desiredAccess: jobAllAccess, inheritHandle: false, name });
      }
      const { NtOpenJobObject } = bind(ntdll);
      return NtOpenJobObject({ desiredAccess: jobAllAccess, objectAttributes: objectAttributes(name) }).job;
    });
    const job = new JobObject(handle, name);
    try {
      job.#isSilo = isSilo(handle);
      if (notifications) await job.#register();
    } catch (error) {
      await job.close();
      throw error;
    }
    return job;
  }

  /** Lends the handle to one call. */
  use<T>(call: (job: Handle<'HANDLE'>) => T): Promise<Awaited<T>> {
    return this.#do('use', call);
  }

  /** Puts a process and all that it will start into the job. */
  assign(processId: number): Promise<void> {
    return this.#do(`put process ${processId} into`, (job) => {
      const { OpenProcess, AssignProcessToJobObject, CloseHandle } = bind(kernel32);
      const opened = OpenProcess({ desiredAccess: processAllAccess, inheritHandle: false, processId });
      try {
        AssignProcessToJobObject({ job, process: opened });
      } finally {
        CloseHandle({ object: opened });
      }
    });
  }

  /** Ids of the processes that are in the job. */
  processIds(): Promise<number[]> {
    return this.#do('list the processes of', processIds);
  }

  /** Ends every process in the job. */
  terminate(exitCode: number): Promise<void> {
    return this.#do('terminate', (job) => void bind(kernel32).TerminateJobObject({ job, exitCode }));
  }

  /**
   * The job's messages from its registration on, until the job is closed here. The system may lose some when many come.
   * While one is waited for, the process stays alive. Of 1024 unread messages the oldest are dropped, and that is told.
   *
   * Throws a JobObjectError when the job is not registered.
   */
  notifications({ signal }: { signal?: AbortSignal } = {}): AsyncIterable<JobNotification> {
    const registration = this.#registration;
    if (registration === undefined) {
      throw new JobObjectError('ERR_JOB_NOT_REGISTERED', `read notifications of ${this.#subject}`);
    }
    return this.#queue.read(signal, () => registration.attend());
  }

  /** Sets the limits that are given, one after the other. Rejects with a RangeError for values that no job takes. */
  setLimits(limits: JobLimits): Promise<void> {
    return this.#do('limit', (job) => setLimits(job, limits));
  }

  /** Undefined when there is none. */
  cpuLimit(): Promise<CpuLimit | undefined> {
    return this.#do('read the CPU limit of', cpuLimit);
  }

  /** Bytes; undefined when there is no limit. */
  memoryLimit(): Promise<bigint | undefined> {
    return this.#do('read the memory limit of', memoryLimit);
  }

  /** Processors of group 0, as bits; undefined when all may be used. */
  affinity(): Promise<bigint | undefined> {
    return this.#do('read the processor affinity of', affinity);
  }

  groupAffinities(): Promise<GroupAffinity[]> {
    return this.#do('read the group affinities of', groupAffinities);
  }

  /** Undefined when there are none. */
  ioLimits(): Promise<IoLimits | undefined> {
    return this.#do('read the I/O limits of', ioLimits);
  }

  /** Has the processes end when the last handle to the job closes. */
  setTerminateOnClose(): Promise<void> {
    return this.#do('set the end of', terminateOnClose);
  }

  /** Committed memory, in bytes. */
  memoryStatistics(): Promise<ReturnType<typeof memoryUsage.decode>> {
    return this.#do('read the memory statistics of', (job) =>
      queryJob(job, jobInformation.MemoryUsageInformation, memoryUsage),
    );
  }

  /** Times in 100 ns, and counts of processes. */
  processorStatistics(): Promise<ReturnType<typeof basicAccounting.decode>> {
    return this.#do('read the processor statistics of', (job) =>
      queryJob(job, jobInformation.BasicAccountingInformation, basicAccounting),
    );
  }

  /** Counts, times in 100 ns and bytes of I/O since tracking was turned on; rejects when it was not. */
  storageStatistics(): Promise<ReturnType<typeof ioAttribution.decode>> {
    const asked = { controlFlags: ioAttributionEnable };
    return this.#do('read the storage statistics of', (job) =>
      queryJob(job, jobInformation.IoAttribution, ioAttribution, asked),
    );
  }

  /** Memory that no other process shares, of all processes together, in bytes. */
  privateWorkingSet(): Promise<bigint> {
    return this.#do('read the private working set of', privateWorkingSet);
  }

  /** Turns the counting of I/O on. */
  trackIo(): Promise<void> {
    return this.#do('track the I/O of', (job) =>
      setJob(job, jobInformation.IoAttribution, ioAttribution.encode({ controlFlags: ioAttributionEnable })),
    );
  }

  get isSilo(): boolean {
    return this.#isSilo;
  }

  /** Makes the job a silo. It must have no process, and end them with its last handle. A silo stays as it is. */
  async promoteToSilo(): Promise<void> {
    await this.#do('promote to a silo', (job) => {
      if (this.#isSilo) return;
      const { length } = processIds(job);
      if (length > 0) {
        throw new Error(
          `Cannot promote to a silo ${this.#subject}: it has ${length} running processes, it must have none`,
        );
      }
      setJob(job, jobInformation.CreateSilo, null);
      this.#isSilo = true;
    });
  }

  /**
   * Has processes in the silo, and no others, see `target` at the path `root`, by the bind filter. The directory that `root` is
   * in is made. Rejects with a JobObjectError when the job is not a silo.
   */
  async applyFileBinding(root: string, target: string, { readOnly = false } = {}): Promise<void> {
    const action = `bind "${target}" to "${root}" in`;
    if (!this.#isSilo) throw new JobObjectError('ERR_JOB_NOT_SILO', `${action} ${this.#subject}`);
    await mkdir(win32.dirname(root), { recursive: true });
    await this.#do(action, (job) =>
      attemptAsync(`${action} ${this.#subject}`, () =>
        bind(bindfltapi).BfSetupFilter({
          job,
          flags: currentSiloMapping | (readOnly ? readOnlyMapping : 0),
          virtualizationRootPath: root,
          virtualizationTargetPath: target,
          exceptions: null,
          exceptionCount: 0,
        }),
      ),
    );
  }

  /** Closes the handle, when calls that use it have returned, and ends the notifications. A second call does nothing. */
  async close(): Promise<void> {
    await this.#handle.close();
    this.#registration?.[Symbol.dispose]();
    this.#registration = undefined;
    this.#queue.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #register(): Promise<void> {
    await this.#do('register for notifications', (job) => {
      this.#registration = registerJob(job, this.#queue);
    });
  }

  #do<T>(verb: string, call: (job: Handle<'HANDLE'>) => T): Promise<Awaited<T>> {
    const action = `${verb} ${this.#subject}`;
    if (this.#handle.state !== 'open') return Promise.reject(new JobObjectError('ERR_JOB_CLOSED', action));
    return this.#handle.use((job) => attempt(action, () => call(job)));
  }
}

/** Only silos can be asked for what is particular to silos. */
function isSilo(job: Handle<'HANDLE'>): boolean {
  try {
    queryJob(job, jobInformation.SiloBasicInformation, siloBasicInformation);
    return true;
  } catch (error) {
    if (error instanceof DllCallError) return false;
    throw error;
  }
}
