import type { MonitorKind } from '../monitor.ts';
import { createQemuMonitorKind, type QemuOptions } from '../qemu/qemu-monitor.ts';
import { createSandboxMonitorKind, type SandboxOptions } from '../sandbox/sandbox-monitor.ts';

/** A kind of monitor and its options, as data that another process can be given. */
export type MonitorChoice =
  | { name: 'sandbox'; options: SandboxOptions }
  | { name: 'qemu'; options: QemuOptions };

export function createMonitorKind(choice: MonitorChoice): MonitorKind {
  return choice.name === 'sandbox'
    ? createSandboxMonitorKind(choice.options)
    : createQemuMonitorKind(choice.options);
}
