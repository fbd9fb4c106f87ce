import { readFileSync, readlinkSync } from 'node:fs';

/**
 * Names one process for good: a pid alone comes back after its process is gone, a pid with its start time
 * does not.
 */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks between the boot and its start: field 22 of `/proc/<pid>/stat` (proc(5)). */
  startTime: number;
}

/** A process that may be looked at from another PID namespace or after a reboot. */
export interface HostProcess extends ProcessIdentity {
  bootId: string;
  /** `pid:[<inode>]`, where `pid` counts. */
  pidNamespace: string;
}

/** The process with this pid, or undefined when there is none or only its zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    // Not knowing is not the same as knowing that it is gone.
    throw error;
  }
  // The second field is the command's name in parentheses, which may hold anything, also parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return undefined;
  return { pid, startTime: Number(fields[19]) };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime;
}

let self: HostProcess | undefined;

/** This process. */
export function thisProcess(): HostProcess {
  self ??= {
    ...(identifyProcess(process.pid) as ProcessIdentity),
    bootId: bootId(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  };
  return self;
}

/**
 * False when the process is surely gone. One of another PID namespace cannot be looked up from here and
 * counts as living.
 */
export function mayBeRunning(process: HostProcess): boolean {
  if (process.bootId !== thisProcess().bootId) return false;
  if (process.pidNamespace !== thisProcess().pidNamespace) return true;
  return isRunning(process);
}

/** Sends a signal; a process that is gone is no error. Returns whether it was delivered. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** The children that a process's main thread has started, oldest first. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
