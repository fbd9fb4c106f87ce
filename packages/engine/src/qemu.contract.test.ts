import { spawnSync } from 'node:child_process';
import { accessSync } from 'node:fs';
import { join } from 'node:path';
import { computeServiceContract } from '@hcsshim/hcs/contract';
import { openLinuxHarness } from './contract/linux-harness.ts';

const bootDirectory = process.env.HCSSHIM_BOOT ?? join(import.meta.dirname, '../../../out');
const bootFile = (name: string): string => join(bootDirectory, name);

function reasonToSkip(): string | undefined {
  if (spawnSync('qemu-system-x86_64', ['--version']).status !== 0)
    return 'qemu-system-x86_64 is not installed';
  try {
    for (const name of ['vmlinux', 'initrd.img', 'rootfs.vhd']) accessSync(bootFile(name));
    return undefined;
  } catch {
    return `no boot files in ${bootDirectory}, "npm run boot:build" makes them`;
  }
}

computeServiceContract('the QEMU engine', {
  skip: reasonToSkip(),
  // Under emulation, on a busy machine, a VM takes its time.
  patience: 600_000,
  untestedChapters: { processes: "a Linux VM's processes are its guest agent's: the service starts none" },
  open: () =>
    openLinuxHarness(
      { name: 'qemu', options: {} },
      {
        Owner: 'contract',
        SchemaVersion: { Major: 2, Minor: 1 },
        ShouldTerminateOnLastHandleClosed: true,
        VirtualMachine: {
          StopOnReset: true,
          Chipset: {
            LinuxKernelDirect: {
              KernelFilePath: bootFile('vmlinux'),
              InitRdPath: bootFile('initrd.img'),
              KernelCmdLine:
                'panic=-1 quiet nr_cpus=1 -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel info',
            },
          },
          ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 1 } },
          Devices: {
            Scsi: {
              '0': {
                Attachments: {
                  '0': { Type: 'VirtualDisk', Path: bootFile('rootfs.vhd'), ReadOnly: true },
                },
              },
              '1': { Attachments: {} },
            },
            HvSocket: {},
          },
        },
      },
    ),
});
