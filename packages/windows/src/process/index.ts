export { HostProcess, type HostProcessOptions } from './host-process.ts';
