import { mkdir, rm, rmdir, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MountFlag, mount } from '@hcsshim/linux';
import { HcsError, type MappedVirtualDisk } from '@hcsshim/schema';
import { detectFilesystem, formatFilesystem } from './filesystem.ts';
import { parseMountOptions } from './mount-options.ts';
import { unmountAndRemove } from './mount-table.ts';
import type { ScsiBus } from './scsi-bus.ts';

/** For a disk to appear. Upstream has 5 s; an emulated VM on a busy host needs more patience. In milliseconds. */
const deviceTimeout = 30_000;

/** Between two looks at a disk that shows no file system, as upstream. In milliseconds. */
const detectRetryDelay = 500;

/** Mounts a SCSI disk, or links to its block device. Nothing is left behind by a failure. */
export async function mountVirtualDisk(bus: ScsiBus, disk: MappedVirtualDisk): Promise<void> {
  const { MountPath: target, Controller: controller = 0, Lun: lun = 0 } = disk;
  if (!target) return;
  const action = `Cannot mount the disk at SCSI controller ${controller}, LUN ${lun} on "${target}"`;
  if (disk.Encrypted) {
    throw new HcsError({
      action,
      problem: 'encrypted disks are not supported by this agent',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  const signal = AbortSignal.timeout(deviceTimeout);
  const whole = await bus.devicePath({ controller, lun }, { signal });
  const device = disk.Partition ? `${whole}${disk.Partition}` : whole;
  if (disk.BlockDev) {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await symlink(device, target);
    return;
  }
  const type = await filesystemOf(device, disk, action);
  const created = await mkdir(target, { recursive: true, mode: 0o700 });
  const options = parseMountOptions(disk.Options ?? []);
  // Without noload a read-only ext4 that was not unmounted cleanly wants to write its journal.
  const data = [...options.data, ...(disk.ReadOnly && type === 'ext4' ? ['noload'] : [])];
  try {
    mount(device, target, type, options.flags | (disk.ReadOnly ? MountFlag.readOnly : 0), data.join(','));
    for (const flags of options.propagation) mount('', target, '', flags);
  } catch (error) {
    if (created !== undefined) await rmdir(target).catch(() => {});
    throw new HcsError({
      action,
      problem: `the kernel does not take it as ${type}: ${(error as Error).message}`,
      code: 'E_FAIL',
      cause: error,
    });
  }
}

/** Takes back what {@link mountVirtualDisk} did. What is not mounted is no error. */
export async function unmountVirtualDisk({ MountPath: target, BlockDev }: MappedVirtualDisk): Promise<void> {
  if (!target) return;
  if (BlockDev) await rm(target, { force: true });
  else await unmountAndRemove(target);
}

async function filesystemOf(device: string, disk: MappedVirtualDisk, action: string): Promise<string> {
  const wanted = disk.Filesystem || undefined;
  if (wanted && !disk.EnsureFilesystem) return wanted;
  let detected = await detectFilesystem(device);
  if (!detected && !disk.EnsureFilesystem) {
    await sleep(detectRetryDelay);
    detected = await detectFilesystem(device);
  }
  if (disk.EnsureFilesystem) {
    const type = wanted ?? 'ext4';
    if (detected !== type) await formatFilesystem(type, device);
    return type;
  }
  if (detected) return detected;
  throw new HcsError({
    action,
    problem: 'it carries no file system that the agent knows, name its type',
    code: 'ERROR_INVALID_DATA',
  });
}
