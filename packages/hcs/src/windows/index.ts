export { createWindowsComputeService, type WindowsComputeServiceOptions } from './windows-compute-service.ts';
