import { constants, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { open, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HcsError } from '@hcsshim/schema';

/** Where a disk is plugged in, as the host counts. */
interface ScsiAddress {
  controller: number;
  lun: number;
}

export interface ScsiBus {
  /** The block device of a disk, waited for until the signal aborts: the host has plugged it in just now. */
  devicePath(address: ScsiAddress, options: { signal: AbortSignal }): Promise<string>;
  /** Lets go of a disk before the host unplugs it. One that is not there is no error. */
  remove(address: ScsiAddress): Promise<void>;
}

/** As upstream (`internal/guest/storage/scsi`). In milliseconds. */
const pollInterval = 10;

/** VMBus channels of the controllers 0 to 3: upstream's `guestrequest.ScsiControllerGuids`. */
const controllerGuids = [
  'df6d0690-79e5-55b6-a5ec-c1e2f77f580a',
  '0110f83b-de10-5172-a266-78bca56bf50a',
  'b5d2d8d4-3a75-51bf-945b-3444dc6b8579',
  '305891a9-b251-5dfe-91a2-c25d9212275b',
];

/**
 * The disks of a VM by sysfs. On Hyper-V a controller is a VMBus device with a fixed GUID; on QEMU it is a
 * virtio-scsi PCI function, and the controllers count in the order of their PCI addresses.
 *
 * @param options.sysfs @default '/sys'
 * @param options.devices @default '/dev'
 */
export function sysfsScsiBus({ sysfs = '/sys', devices = '/dev' } = {}): ScsiBus {
  const hosts = new Map<number, number>();
  const deviceDirectory = ({ controller, lun }: ScsiAddress): string | undefined => {
    const host = hosts.get(controller) ?? hostNumber(sysfs, controller);
    if (host === undefined) return undefined;
    hosts.set(controller, host);
    return join(sysfs, 'bus/scsi/devices', `${host}:0:0:${lun}`);
  };
  return {
    devicePath: (address, { signal }) =>
      poll(address, signal, () => {
        const directory = deviceDirectory(address);
        const name = directory && listOrEmpty(join(directory, 'block'))[0];
        return name && opensAsDisk(join(devices, name));
      }),
    async remove(address) {
      const directory = deviceDirectory(address);
      if (directory === undefined) return;
      try {
        // Write-only: sysfs refuses to open it for reading, even to root.
        await writeFile(join(directory, 'delete'), '1\n', { flag: constants.O_WRONLY });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    },
  };
}

/** The disks of a sandbox: its engine attaches loop devices and links them as `scsi/<controller>/<lun>`. */
export function sandboxScsiBus(directory: string): ScsiBus {
  return {
    devicePath: (address, { signal }) =>
      poll(address, signal, () =>
        readlink(join(directory, 'scsi', String(address.controller), String(address.lun))).catch(
          () => undefined,
        ),
      ),
    // The loop device goes when the engine detaches it.
    async remove() {},
  };
}

async function poll(
  { controller, lun }: ScsiAddress,
  signal: AbortSignal,
  look: () => string | undefined | Promise<string | undefined>,
): Promise<string> {
  for (;;) {
    const path = await look();
    if (path) return path;
    try {
      await sleep(pollInterval, undefined, { signal });
    } catch (error) {
      throw new HcsError({
        action: `Cannot find the disk at SCSI controller ${controller}, LUN ${lun}`,
        problem: 'it has not appeared, attach it to the VM first',
        code: 'ERROR_NOT_FOUND',
        cause: error,
      });
    }
  }
}

/** The path, once the disk can be opened: sysfs shows it before its capacity has been read. */
async function opensAsDisk(path: string): Promise<string | undefined> {
  try {
    await (await open(path, 'r')).close();
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENXIO' || code === 'ENOENT' || code === 'ENOMEDIUM') return undefined;
    throw error;
  }
}

/** The kernel's number of a controller (`host<N>`), or undefined while it is not there. */
function hostNumber(sysfs: string, controller: number): number | undefined {
  const guid = controllerGuids[controller];
  const onVmbus = guid && listOrEmpty(join(sysfs, 'bus/vmbus/devices', guid)).find(isHost);
  if (onVmbus) return Number(onVmbus.slice('host'.length));
  const class_ = join(sysfs, 'class/scsi_host');
  const virtio = listOrEmpty(class_)
    .filter(
      (name) =>
        isHost(name) && readFileSync(join(class_, name, 'proc_name'), 'utf8').trim() === 'virtio_scsi',
    )
    .map((name) => ({ name, address: pciAddress(realpathSync(join(class_, name))) }))
    .sort((a, b) => (a.address < b.address ? -1 : 1));
  const name = virtio[controller]?.name;
  return name === undefined ? undefined : Number(name.slice('host'.length));
}

function isHost(name: string): boolean {
  return /^host\d+$/.test(name);
}

/** The bridges and the function on the way to a device: `0000:00:05.0/0000:01:00.0`. */
function pciAddress(devicePath: string): string {
  return (devicePath.match(/[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[\da-f]/g) ?? []).join('/');
}

function listOrEmpty(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
