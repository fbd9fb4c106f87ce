import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHcsError } from '@hcsshim/schema';
import { sandboxScsiBus, sysfsScsiBus } from './scsi-bus.ts';

let sysfs: string;

beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'scsi-bus-'));
});

afterEach(() => rmSync(sysfs, { recursive: true }));

const bus = () => sysfsScsiBus({ sysfs, devices: join(sysfs, 'dev') });

/** The device node of a disk, which comes a little after its entry in sysfs. */
function addNode(name: string): string {
  const path = join(sysfs, 'dev', name);
  mkdirSync(join(sysfs, 'dev'), { recursive: true });
  writeFileSync(path, '');
  return path;
}

/** A SCSI host as sysfs shows it. */
function addHost(host: string, device: string, driver: string): void {
  const directory = join(sysfs, 'devices', device, host);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'proc_name'), `${driver}\n`);
  mkdirSync(join(sysfs, 'class/scsi_host'), { recursive: true });
  symlinkSync(directory, join(sysfs, 'class/scsi_host', host));
}

function addDisk(address: string, name: string): string {
  const directory = join(sysfs, 'bus/scsi/devices', address);
  mkdirSync(join(directory, 'block', name), { recursive: true });
  writeFileSync(join(directory, 'delete'), '');
  return directory;
}

const soon = () => ({ signal: AbortSignal.timeout(5000) });

test('virtio controllers count by their PCI addresses, whatever numbers the kernel gave them', async () => {
  addHost('host0', 'pci0000:00/0000:00:1f.2/ata1', 'ahci');
  addHost('host1', 'pci0000:00/0000:00:06.0/virtio2', 'virtio_scsi');
  addHost('host2', 'pci0000:00/0000:00:05.0/virtio1', 'virtio_scsi');
  addHost('host10', 'pci0000:00/0000:00:07.0/0000:01:00.0/virtio3', 'virtio_scsi');
  addDisk('2:0:0:0', 'sda');
  addDisk('1:0:0:7', 'sdb');
  addDisk('10:0:0:63', 'sdaa');
  const [sda, sdb, sdaa] = ['sda', 'sdb', 'sdaa'].map(addNode);
  const scsi = bus();
  assert.equal(await scsi.devicePath({ controller: 0, lun: 0 }, soon()), sda);
  assert.equal(await scsi.devicePath({ controller: 1, lun: 7 }, soon()), sdb);
  assert.equal(await scsi.devicePath({ controller: 2, lun: 63 }, soon()), sdaa);
});

test('on Hyper-V a controller has a GUID', async () => {
  mkdirSync(join(sysfs, 'bus/vmbus/devices/0110f83b-de10-5172-a266-78bca56bf50a/host3'), { recursive: true });
  addDisk('3:0:0:1', 'sdc');
  const sdc = addNode('sdc');
  const scsi = bus();
  assert.equal(await scsi.devicePath({ controller: 1, lun: 1 }, soon()), sdc);
});

test('a disk that comes later is waited for, one that does not come is an error in words', async () => {
  addHost('host0', 'pci0000:00/0000:00:05.0/virtio1', 'virtio_scsi');
  const scsi = bus();
  const found = scsi.devicePath({ controller: 0, lun: 4 }, soon());
  addDisk('0:0:0:4', 'sdd');
  await sleep(30);
  const sdd = addNode('sdd');
  assert.equal(await found, sdd);
  await assert.rejects(
    scsi.devicePath({ controller: 0, lun: 5 }, { signal: AbortSignal.timeout(30) }),
    (error) => isHcsError(error, 'ERROR_NOT_FOUND') && /controller 0, LUN 5/.test(error.message),
  );
});

test('removing deletes the device; one that is not there is no error', async () => {
  addHost('host0', 'pci0000:00/0000:00:05.0/virtio1', 'virtio_scsi');
  const disk = addDisk('0:0:0:2', 'sde');
  const scsi = bus();
  await scsi.remove({ controller: 0, lun: 2 });
  assert.equal(readFileSync(join(disk, 'delete'), 'utf8'), '1\n');
  await scsi.remove({ controller: 0, lun: 3 });
  await scsi.remove({ controller: 3, lun: 3 });
});

test('a sandbox links its disks', async () => {
  mkdirSync(join(sysfs, 'scsi/1'), { recursive: true });
  symlinkSync('/dev/loop7', join(sysfs, 'scsi/1/9'));
  assert.equal(await sandboxScsiBus(sysfs).devicePath({ controller: 1, lun: 9 }, soon()), '/dev/loop7');
});
