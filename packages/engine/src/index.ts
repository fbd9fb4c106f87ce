export {
  createLinuxComputeService,
  type LinuxComputeService,
  type LinuxComputeServiceOptions,
} from './linux-compute-service.ts';
export type { Monitor, MonitorKind, MonitorOptions } from './monitor.ts';
export { defaultStateDirectory } from './state-directory.ts';
