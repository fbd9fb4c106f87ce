import type { MonitorKind } from '../monitor.ts';
import { createSandboxMonitorKind, type SandboxOptions } from '../sandbox/sandbox-monitor.ts';

/** A kind of monitor and its options, as data that another process can be given. */
export type MonitorChoice = { name: 'sandbox'; options: SandboxOptions };

export async function createMonitorKind(choice: MonitorChoice): Promise<MonitorKind> {
  return createSandboxMonitorKind(choice.options);
}
