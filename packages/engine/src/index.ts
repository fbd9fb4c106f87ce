export {
  createLinuxComputeService,
  type LinuxComputeService,
  type LinuxComputeServiceOptions,
} from './linux-compute-service.ts';
export type { Monitor, MonitorKind, MonitorOptions } from './monitor.ts';
export { createQemuMonitorKind, type QemuOptions } from './qemu/qemu-monitor.ts';
export { createSandboxMonitorKind, type SandboxOptions } from './sandbox/sandbox-monitor.ts';
export { defaultStateDirectory } from './state-directory.ts';
export { type SweepOptions, type SweptSystem, sweep } from './sweep.ts';
