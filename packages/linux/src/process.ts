import { constants } from 'node:os';
import { waitUntilReady } from './fd-watcher.ts';
import { checked, closeFd, lastErrno, libc, retryInterrupted } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// sys/prctl.h, bits/waitflags.h, asm-generic/unistd.h
const PR_SET_PDEATHSIG = 1;
const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const P_ALL = 0;
const SYS_pidfd_open = 434n;
/** Where `si_pid` lies in `siginfo_t` on 64-bit machines. */
const siginfoPidOffset = 16;

/** How a process ended: by `exitCode`, or killed by a signal and then `exitCode` is 128 + its number, as shells say. */
export interface ProcessExit {
  readonly pid: number;
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
}

/** Orphaned descendants become children of this process from now on, which must reap them. */
export function setChildSubreaper(): void {
  checked(libc().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n), 'prctl', 'become a child subreaper');
}

/** The kernel sends this process the signal when the thread that started it dies. Pass 0 for none. */
export function setDeathSignal(signal: NodeJS.Signals | 0): void {
  checked(
    libc().prctl(PR_SET_PDEATHSIG, BigInt(signalNumber(signal)), 0n, 0n, 0n),
    'prctl',
    'set the death signal',
  );
}

/**
 * Collects one child that has ended; undefined when it still runs. Never blocks. Not for children of `child_process`: Node
 * itself waits for those. Fails with ECHILD when `pid` is no child.
 */
export function waitPid(pid: number): ProcessExit | undefined {
  const status = Buffer.alloc(4);
  const result = checked(
    retryInterrupted(() => libc().waitpid(pid, status, WNOHANG)),
    'waitpid',
    `wait for process ${pid}`,
  );
  return result === 0 ? undefined : decodeStatus(result, status.readInt32LE());
}

/**
 * Collects the children that have ended and that nobody else waits for: orphans which fell to this subreaper. Call it on
 * SIGCHLD and now and then.
 *
 * @param isOwned Tells the children that someone waits for, such as those of `child_process` (taking them from Node would
 * leave their `exit` event out for ever). An owned one that has ended and is not yet collected hides those behind it
 * until the next call.
 */
export function reapOrphans(isOwned: (pid: number) => boolean): ProcessExit[] {
  const exits: ProcessExit[] = [];
  const info = Buffer.alloc(128);
  for (;;) {
    info.fill(0);
    const result = retryInterrupted(() => libc().waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT));
    if (result === -1) {
      const errno = lastErrno();
      if (errno === constants.errno.ECHILD) return exits;
      throw new SystemCallError('waitid', errno, 'look for ended children');
    }
    const pid = info.readInt32LE(siginfoPidOffset);
    if (pid === 0 || isOwned(pid)) return exits;
    const exit = waitPid(pid);
    if (exit !== undefined) exits.push(exit);
  }
}

/**
 * kill(2). A negative `pid` is a process group.
 *
 * @param signal A name, a number, or 0 to ask only whether it is there.
 */
export function killProcess(pid: number, signal: NodeJS.Signals | number): void {
  checked(libc().kill(pid, signalNumber(signal)), 'kill', `send ${signal} to process ${pid}`);
}

/** A descriptor that becomes readable when the process ends. Close-on-exec. Fails with ESRCH when there is none. */
export function openPidFd(pid: number): number {
  return Number(
    checked(
      libc().syscall(SYS_pidfd_open, BigInt(pid), 0n, 0n, 0n),
      'pidfd_open',
      `open a descriptor of process ${pid}`,
    ),
  );
}

/** Resolves when the process, any process, has ended or is gone already. It still has to be collected by its parent. */
export async function waitForProcessEnd(
  pid: number,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  let fd: number;
  try {
    fd = openPidFd(pid);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ESRCH') return;
    throw error;
  }
  try {
    await waitUntilReady(fd, 'readable', options);
  } finally {
    closeFd(fd);
  }
}

function signalNumber(signal: NodeJS.Signals | number): number {
  return typeof signal === 'number' ? signal : constants.signals[signal];
}

/** The status word of `wait(2)`: the signal in the low 7 bits, else the exit code in the next byte. */
function decodeStatus(pid: number, status: number): ProcessExit {
  const number = status & 0x7f;
  if (number === 0) return { pid, exitCode: (status >> 8) & 0xff, signal: null };
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { pid, exitCode: 128 + number, signal: (name as NodeJS.Signals | undefined) ?? null };
}
