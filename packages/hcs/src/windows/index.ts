export { createWindowsComputeService } from './windows-compute-service.ts';
