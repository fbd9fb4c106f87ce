import { readFileSync, readlinkSync } from 'node:fs';

/**
 * A line that names one process for good, to be kept in a file: boot, PID namespace, pid, and start time in
 * clock ticks (proc(5)), because a pid alone comes back after its process is gone.
 */
export type ProcessMark = string;

let boot: string | undefined;

export function thisProcessMark(): ProcessMark {
  return markOf(process.pid) ?? `${place()} ${process.pid} 0`;
}

/**
 * False when the marked process is surely gone. One of another PID namespace cannot be looked up from here
 * and counts as living.
 */
export function mayBeRunning(mark: ProcessMark): boolean {
  const [bootId, namespace, pid] = mark.split(' ');
  const [ownBootId, ownNamespace] = place().split(' ');
  if (bootId !== ownBootId || !/^\d+$/.test(pid ?? '')) return false;
  return namespace !== ownNamespace || markOf(Number(pid)) === mark;
}

function markOf(pid: number): ProcessMark | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the command's name in parentheses, which may hold anything, also parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : `${place()} ${pid} ${fields[19]}`;
}

function place(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
}
