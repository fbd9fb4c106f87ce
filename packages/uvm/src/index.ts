export {
  GuestProcess,
  type GuestProcessParameters,
  type StdioRequest,
  type TerminalSize,
} from './guest-process.ts';
export { type BootFiles, type LinuxVmOptions, linuxVmDocument } from './linux-vm-document.ts';
export { type ScsiDisk, type ScsiDiskRequest, ScsiDisks } from './scsi-disks.ts';
export { UtilityVm, type VmPlatform } from './utility-vm.ts';
