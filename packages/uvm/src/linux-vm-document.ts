import type { ComputeSystemDocument, ScsiAttachment } from '@hcsshim/schema';

/** The files that a Linux utility VM boots, as paths on the host. */
export interface BootFiles {
  /** Uncompressed kernel. */
  kernel: string;
  /** Initial RAM disk. */
  initrd: string;
  /** Root disk: read-only ext4 in a fixed VHD. */
  rootfs: string;
}

export interface LinuxVmOptions {
  /** Name of the compute system; the shim uses `<task id>@vm`. */
  id: string;
  /** Who owns it, shown by enumerations. @default 'hcsshim' */
  owner?: string;
  /** Memory in MiB, rounded up to even. @default 256 */
  memoryMb?: number;
  /** Virtual processors. @default 2 */
  processors?: number;
  /** Share of each processor, 1 to 100000. @default no limit */
  processorLimit?: number;
  /** Weight against other VMs, 0 to 10000. @default the platform's */
  processorWeight?: number;
  /** More kernel arguments, put before the agent's command. */
  kernelArguments?: string;
  /** Absent where the platform brings its own guest (the sandbox). */
  bootFiles?: BootFiles;
  /** SCSI controllers of the VM, each with 64 disks, 1 to 4. @default 4 */
  scsiControllers?: number;
  /** What the guest logs at least. @default 'info' */
  guestLogLevel?: 'error' | 'warning' | 'info' | 'debug' | 'trace';
}

/** Where the root disk sits when there is one. */
export const rootDiskSlot = { controller: 0, lun: 0 } as const;

/** The HCS document (schema 2.1) of a Linux utility VM. Options as upstream's `internal/uvm/create_lcow.go`. */
export function linuxVmDocument(options: LinuxVmOptions): ComputeSystemDocument {
  const processors = options.processors ?? 2;
  const attachments: Record<string, ScsiAttachment> = options.bootFiles
    ? { [rootDiskSlot.lun]: { Type: 'VirtualDisk', Path: options.bootFiles.rootfs, ReadOnly: true } }
    : {};
  const controllers = Array.from({ length: options.scsiControllers ?? 4 }, (_, index) => [
    String(index),
    { Attachments: index === rootDiskSlot.controller ? attachments : {} },
  ]);
  return {
    Owner: options.owner ?? 'hcsshim',
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
    VirtualMachine: {
      StopOnReset: true,
      Chipset: options.bootFiles
        ? {
            LinuxKernelDirect: {
              KernelFilePath: options.bootFiles.kernel,
              InitRdPath: options.bootFiles.initrd,
              KernelCmdLine: kernelCommandLine(options, processors),
            },
          }
        : {},
      ComputeTopology: {
        Memory: { SizeInMB: roundUpToEven(options.memoryMb ?? 256), AllowOvercommit: true },
        Processor: {
          Count: processors,
          ...(options.processorLimit === undefined ? {} : { Limit: options.processorLimit }),
          ...(options.processorWeight === undefined ? {} : { Weight: options.processorWeight }),
        },
      },
      Devices: { Scsi: Object.fromEntries(controllers), HvSocket: {} },
    },
  };
}

/**
 * `panic=-1` makes a panicking guest reset at once, which `StopOnReset` turns into an exit. What follows `--`
 * goes to the guest's init: entropy on vsock port 1, the agent's errors on port 109, then the agent's command.
 */
function kernelCommandLine(options: LinuxVmOptions, processors: number): string {
  return [
    'panic=-1 quiet',
    options.kernelArguments ?? '',
    `nr_cpus=${processors} brd.rd_nr=0 pmtmr=0`,
    '-- -e 1 /bin/vsockexec -e 109',
    `/bin/gcs -v4 -log-format json -loglevel ${options.guestLogLevel ?? 'info'}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function roundUpToEven(value: number): number {
  return Math.ceil(value / 2) * 2;
}
