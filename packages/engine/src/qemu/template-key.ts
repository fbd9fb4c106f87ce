import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { processorIdentity } from './accelerator.ts';
import { buildCommandLine, type DiskSlot, type Machine, machineLayoutVersion } from './command-line.ts';
import type { QemuProgram } from './qemu-program.ts';

/**
 * Names a template by everything that went into it: the machine's hardware and kernel arguments, the
 * identity of each file it booted from, QEMU, and the processor. Two VMs with the same key can be clones of
 * the same template.
 */
export async function templateKey(qemu: QemuProgram, machine: Machine, rootDisk: DiskSlot): Promise<string> {
  const files = [machine.kernelPath, machine.initrdPath, rootDisk.image.path].filter(
    (path) => path !== undefined,
  );
  const inputs = [
    machineLayoutVersion,
    qemu.version,
    qemu.identity,
    await processorIdentity(machine.accelerator),
    buildCommandLine(machine, { disks: [rootDisk], incoming: false }),
    await Promise.all(files.map(fileIdentity)),
  ];
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 32);
}

/** Changes when a file is replaced or written to; its content, tens of megabytes, is not read. */
async function fileIdentity(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}
