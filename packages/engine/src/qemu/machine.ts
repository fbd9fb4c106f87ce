import { HcsError } from '@hcsshim/hcs';
import type { CheckedDocument } from '../document.ts';
import { documentDisks, scsiControllerNumber } from '../document.ts';
import type { Accelerator } from './accelerator.ts';
import type { DiskSlot, Machine } from './command-line.ts';
import { openDiskImage } from './disk-image.ts';
import type { QemuProgram } from './qemu-program.ts';

/** What a document asks for, as hardware and disks. */
export interface MachinePlan {
  machine: Machine;
  disks: DiskSlot[];
  /** Where COM1 is to be served. */
  consoleSocketPath?: string;
}

/** Translates a checked document. Throws as {@link openDiskImage}, and ERROR_NOT_SUPPORTED. */
export async function planMachine(
  id: string,
  document: CheckedDocument,
  qemu: QemuProgram,
  accelerator: Accelerator,
): Promise<MachinePlan> {
  const action = `Cannot create compute system "${id}"`;
  const { Chipset, ComputeTopology, Devices } = document.VirtualMachine;
  const kernel = Chipset.LinuxKernelDirect;
  if (!kernel) {
    throw new HcsError({
      action,
      problem: 'no kernel is named, firmware is not booted; set Chipset.LinuxKernelDirect',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  const controllers = Object.keys(Devices?.Scsi ?? {}).map((name) => scsiControllerNumber(name) as number);
  const consoleSocketPath = Devices?.ComPorts?.['0']?.NamedPipe;
  return {
    machine: {
      machineType: qemu.machineType,
      accelerator,
      // An emulated second processor slows the first down.
      processors: accelerator.name === 'tcg' ? 1 : ComputeTopology.Processor.Count,
      memoryMb: ComputeTopology.Memory.SizeInMB,
      kernelPath: kernel.KernelFilePath,
      ...(kernel.InitRdPath === undefined ? {} : { initrdPath: kernel.InitRdPath }),
      kernelCommandLine: kernel.KernelCmdLine ?? '',
      scsiControllers: Math.max(0, ...controllers) + 1,
    },
    disks: await Promise.all(
      documentDisks(document).map(async ({ controller, lun, attachment }) => ({
        controller,
        lun,
        image: await openDiskImage(action, attachment),
      })),
    ),
    ...(consoleSocketPath === undefined ? {} : { consoleSocketPath }),
  };
}

/** The disk that a template may hold: the first one, if nobody can write to it. */
export function sharedRootDisk(disks: DiskSlot[]): DiskSlot | undefined {
  return disks.find(({ controller, lun, image }) => controller === 0 && lun === 0 && image.readOnly);
}
