/**
 * Clears up after owners that died. Imports little, so that a short-lived program can afford it: this is the
 * package's door `@hcsshim/engine/sweep`.
 */
import { randomUUID } from 'node:crypto';
import { link, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkStateDirectory } from './private-state.ts';
import { type HostProcess, isRunning, mayBeRunning, signalProcess, thisProcess } from './process-identity.ts';
import { isAbandoned, StateDirectory, type SystemRecord } from './state-directory.ts';
import { cgroupName, SystemCgroup } from './system-cgroup.ts';

export interface SweepOptions {
  /** Only these systems. @default all */
  ids?: string[];
  /** @default defaultStateDirectory() */
  stateDirectory?: string;
  signal?: AbortSignal;
}

/** A system that its owner had left behind, now gone. */
export interface SweptSystem {
  id: string;
  runtimeId: string;
  /** Pid of the owner that died. */
  ownerPid: number;
  /** Pids of processes that still ran and were killed. */
  killed: number[];
}

/** How long a killed process may take to be gone. In milliseconds. */
const deathTimeout = 10_000;
const pollInterval = 5;

/** What could not be cleared away; the rest has been. */
export class SweepError extends AggregateError {
  readonly swept: SweptSystem[];

  constructor(failures: Error[], swept: SweptSystem[]) {
    super(failures, failures.map(({ message }) => message).join('; '));
    this.name = 'SweepError';
    this.swept = swept;
  }
}

/**
 * Removes what owners left that died without closing their systems: processes, cgroups, directories. A system
 * whose owner lives is never touched, also when asked for by id. Several sweepers do not disturb each other.
 * Throws a SweepError in the end when something could not be removed, or a system's record not be read.
 */
export async function sweep(options: SweepOptions = {}): Promise<SweptSystem[]> {
  const state = new StateDirectory(options.stateDirectory);
  await checkStateDirectory(state.root);
  const failures: Error[] = [];
  const fail = (error: Error): void => void failures.push(error);
  const records = options.ids
    ? await Promise.all(options.ids.map((id) => state.read(id).catch(fail)))
    : await state.list(fail);
  const swept: SweptSystem[] = [];
  for (const record of records) {
    options.signal?.throwIfAborted();
    if (!record || !isAbandoned(record)) continue;
    const system = await sweepSystem(state, record).catch(fail);
    if (system) swept.push(system);
  }
  await state.removeUnfinished().catch(fail);
  if (failures.length > 0) throw new SweepError(failures, swept);
  return swept;
}

async function sweepSystem(state: StateDirectory, record: SystemRecord): Promise<SweptSystem | undefined> {
  const claim = join(state.systemDirectory(record.id), 'sweeper.json');
  if (!(await claimed(claim))) return undefined;
  // Between the look and the claim the system may have been swept and its name been given to a new one.
  if ((await state.read(record.id))?.runtimeId !== record.runtimeId) {
    await unlink(claim).catch(() => {});
    return undefined;
  }
  const cgroup = new SystemCgroup(cgroupName(record.id, record.runtimeId));
  cgroup.thaw();
  const killed = record.processes
    .filter((process) => signalProcess(process, 'SIGKILL'))
    .map(({ pid }) => pid);
  const deadline = Date.now() + deathTimeout;
  while (record.processes.some(isRunning) && Date.now() < deadline) await sleep(pollInterval);
  await cgroup.kill();
  await cgroup.remove();
  await state.release(record.runtimeId);
  await state.remove(record.id);
  return { id: record.id, runtimeId: record.runtimeId, ownerPid: record.owner.pid, killed };
}

/** Makes this process the only one that sweeps a system. A claim whose maker died does not count. */
async function claimed(path: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, JSON.stringify(thisProcess()), { mode: 0o600 });
    // A link appears with its contents, which a file just opened does not.
    if (await linked(draft, path)) return true;
    const claimant = JSON.parse(await readFile(path, 'utf8')) as HostProcess;
    if (mayBeRunning(claimant)) return false;
    await unlink(path);
    return await linked(draft, path);
  } catch (error) {
    // The system, or the claim, has gone meanwhile: another sweeper was faster.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function linked(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
