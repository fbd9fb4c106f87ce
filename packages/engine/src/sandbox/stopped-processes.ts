import { readdirSync, readlinkSync } from 'node:fs';

/**
 * Stops, or continues, all processes of a PID namespace: how a sandbox is paused on a host without cgroups.
 * Its processes can see that they were stopped, which a freezer hides.
 */
export function signalNamespace(member: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  const namespace = readlinkSync(`/proc/${member}/ns/pid`);
  const signalled = new Set<number>();
  // A process may fork while it is looked for: once a look finds nobody new, nobody is left who could.
  for (let found = true; found; ) {
    found = false;
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || signalled.has(pid) || namespaceOf(pid) !== namespace) continue;
      signalled.add(pid);
      found = true;
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}
