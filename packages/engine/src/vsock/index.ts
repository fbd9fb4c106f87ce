export {
  VhostUserVsock,
  type VhostUserVsockOptions,
  type VsockEvents,
  type VsockStatistics,
} from './device.ts';
export { DeviceFault } from './device-fault.ts';
