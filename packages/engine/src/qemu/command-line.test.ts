import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildCommandLine, type DiskSlot, type Launch, type Machine } from './command-line.ts';
import { templateKey } from './template-key.ts';

const machine: Machine = {
  machineType: 'pc-q35-7.2',
  accelerator: { name: 'tcg', cpuModel: 'max' },
  processors: 1,
  memoryMb: 256,
  kernelPath: '/boot/vmlinux',
  initrdPath: '/boot/initrd.img',
  kernelCommandLine: 'quiet -- -e 1 /bin/gcs',
  scsiControllers: 2,
};
const rootDisk: DiskSlot = {
  controller: 0,
  lun: 0,
  image: { path: '/boot/a,b "root".vhd', readOnly: true, size: 1048576 },
};
const launch: Launch = { disks: [rootDisk], incoming: false };

test('a machine becomes these arguments', () => {
  assert.deepEqual(buildCommandLine(machine, { ...launch, vsockSocketPath: '/run/a,b/vsock.sock' }), [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'pc-q35-7.2,memory-backend=ram,sata=off,smbus=off,vmport=off,usb=off'],
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '1', '-m', '256M'],
    '-object',
    '{"qom-type":"memory-backend-file","id":"ram","mem-path":"/proc/self/fd/6","size":268435456,"share":true}',
    ...['-kernel', '/boot/vmlinux', '-initrd', '/boot/initrd.img'],
    '-append',
    'quiet console=ttyS0 panic=-1 cryptomgr.notests random.trust_cpu=on mitigations=off noreplace-smp no_timer_check -- -e 1 /bin/gcs',
    ...['-chardev', 'socket,id=qmp,fd=3', '-mon', 'chardev=qmp,mode=control'],
    ...['-chardev', 'socket,id=console,fd=5', '-device', 'isa-serial,chardev=console,index=0'],
    ...['-device', 'pcie-root-port,id=rp0,chassis=1,slot=0,addr=0x10'],
    ...['-device', 'pcie-root-port,id=rp1,chassis=2,slot=1,addr=0x11'],
    ...['-device', 'pcie-root-port,id=rp2,chassis=3,slot=2,addr=0x12'],
    ...['-device', 'pcie-root-port,id=rp3,chassis=4,slot=3,addr=0x13'],
    ...['-device', 'virtio-scsi-pci,id=scsi0,addr=0x2', '-device', 'virtio-scsi-pci,id=scsi1,addr=0x3'],
    ...['-device', 'virtio-serial-pci,id=serial,addr=0x8', '-chardev', 'socket,id=bootstrap,fd=4'],
    ...['-device', 'virtserialport,bus=serial.0,nr=1,chardev=bootstrap,name=org.hcsshim.bootstrap'],
    ...['-device', 'pvpanic-pci,addr=0x9'],
    '-blockdev',
    '{"driver":"raw","node-name":"disk-0-0","read-only":true,"offset":0,"size":1048576,' +
      '"file":{"driver":"file","filename":"/boot/a,b \\"root\\".vhd","read-only":true,"locking":"off"}}',
    '-device',
    '{"driver":"scsi-hd","id":"scsi-0-0","bus":"scsi0.0","channel":0,"scsi-id":0,"lun":0,"drive":"disk-0-0","serial":"hcsshim-0-0"}',
    ...['-chardev', 'socket,id=vsock,path=/run/a,,b/vsock.sock'],
    '-device',
    '{"driver":"vhost-user-vsock-pci","id":"vsock0","bus":"rp0","chardev":"vsock"}',
  ]);
});

test('a clone has the hardware of its template and differs only in what it waits for', () => {
  assert.deepEqual(buildCommandLine(machine, { ...launch, incoming: true }), [
    ...buildCommandLine(machine, launch),
    ...['-incoming', 'defer', '-S'],
  ]);
});

test('KVM gets the processors asked for, and no thread option', () => {
  const args = buildCommandLine(
    { ...machine, accelerator: { name: 'kvm', cpuModel: 'host,migratable=on' }, processors: 4 },
    launch,
  ).join(' ');
  assert.match(args, / -accel kvm -cpu host,migratable=on -smp 4 /);
});

test('the key of a template changes with everything that goes into it, and with nothing else', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-test-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const [kernelPath, initrdPath, path] = ['vmlinux', 'initrd.img', 'rootfs.vhd'].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  for (const file of [kernelPath, initrdPath, path]) await writeFile(file, file);
  const base = { ...machine, kernelPath, initrdPath };
  const disk: DiskSlot = { ...rootDisk, image: { path, readOnly: true, size: 512 } };
  const qemu = { path: 'qemu', version: '7.2', machineType: 'pc-q35-7.2', identity: 'a' };
  const key = (changes: Partial<Machine> = {}, program = qemu) =>
    templateKey(program, { ...base, ...changes }, disk);

  const first = await key();
  assert.equal(await key(), first);
  const changed = [
    await key({ memoryMb: 512 }),
    await key({ processors: 2 }),
    await key({ scsiControllers: 4 }),
    await key({ kernelCommandLine: 'quiet' }),
    await key({ machineType: 'pc-q35-8.0' }),
    await key({ accelerator: { name: 'kvm', cpuModel: 'host' } }),
    await key({}, { ...qemu, identity: 'b' }),
    await key({}, { ...qemu, version: '8.0' }),
  ];
  for (const file of [kernelPath, initrdPath, path]) {
    await utimes(file, new Date(), new Date(2001, 1, 1));
    changed.push(await key());
  }
  assert.equal(new Set([first, ...changed]).size, changed.length + 1);
});
