export { defaultStateDirectory } from './default-state-directory.ts';
export {
  createLinuxComputeService,
  type LinuxComputeService,
  type LinuxComputeServiceOptions,
} from './linux-compute-service.ts';
export type { Monitor, MonitorKind, MonitorOptions } from './monitor.ts';
