import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { findQemu } from './qemu-program.ts';

/** `$HCSSHIM_BOOT`, else `out` of this checkout. */
const bootDirectory = process.env.HCSSHIM_BOOT ?? join(import.meta.dirname, '../../../../out');
const [kernel, initrd, rootDisk] = ['vmlinux', 'initrd.img', 'rootfs.vhd'].map((name) =>
  join(bootDirectory, name),
) as [string, string, string];

/** Why no VM can be booted here, or undefined. */
export async function reasonNotToBoot(): Promise<string | undefined> {
  for (const file of [kernel, initrd, rootDisk]) {
    try {
      await access(file);
    } catch {
      return `${file} is missing, build it with "npm run boot:build"`;
    }
  }
  const cache = await mkdtemp(join(tmpdir(), 'hcs-cache-'));
  try {
    await findQemu(cache);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await rm(cache, { recursive: true });
  }
}

/** A VM that boots the built files: their agent dials the bridge port. */
export function bootDocument(): ComputeSystemDocument {
  return {
    Owner: 'contract',
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      StopOnReset: true,
      Chipset: {
        LinuxKernelDirect: {
          KernelFilePath: kernel,
          InitRdPath: initrd,
          KernelCmdLine:
            'panic=-1 quiet pci=off brd.rd_nr=0 pmtmr=0 -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel info',
        },
      },
      ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 2 } },
      Devices: {
        Scsi: {
          '0': { Attachments: { '0': { Type: 'VirtualDisk', Path: rootDisk, ReadOnly: true } } },
          '1': { Attachments: {} },
        },
      },
    },
  };
}
