import type { MonitorKind } from '../monitor.ts';
import { createQemuMonitorKind, type QemuOptions } from '../qemu/qemu-monitor.ts';
import { createSandboxMonitorKind, type SandboxOptions } from '../sandbox/sandbox-monitor.ts';

/** A kind of monitor and its options, as data that another process can be given. */
export type MonitorChoice =
  | { name: 'sandbox'; options: SandboxOptions }
  | { name: 'qemu'; options: Omit<QemuOptions, 'log'> };

export async function createMonitorKind(choice: MonitorChoice): Promise<MonitorKind> {
  if (choice.name === 'sandbox') return createSandboxMonitorKind(choice.options);
  return createQemuMonitorKind({ ...choice.options, log: (message) => console.error(message) });
}
