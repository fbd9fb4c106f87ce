import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linuxVmDocument } from './linux-vm-document.ts';

const bootFiles = { kernel: '/boot/vmlinux', initrd: '/boot/initrd.img', rootfs: '/boot/rootfs.vhd' };

test('a VM boots the kernel directly, with its root disk on SCSI 0:0', () => {
  const { VirtualMachine: vm } = linuxVmDocument({ id: 'x', bootFiles });
  assert.equal(vm?.Chipset.LinuxKernelDirect?.KernelFilePath, '/boot/vmlinux');
  assert.deepEqual(vm?.Devices?.Scsi?.['0']?.Attachments, {
    '0': { Type: 'VirtualDisk', Path: '/boot/rootfs.vhd', ReadOnly: true },
  });
  assert.deepEqual(Object.keys(vm?.Devices?.Scsi ?? {}), ['0', '1', '2', '3']);
});

test("the kernel's command line ends with upstream's words for init, vsockexec and gcs", () => {
  const { VirtualMachine: vm } = linuxVmDocument({
    id: 'x',
    bootFiles,
    processors: 3,
    kernelArguments: 'loglevel=7',
  });
  assert.equal(
    vm?.Chipset.LinuxKernelDirect?.KernelCmdLine,
    'panic=-1 quiet loglevel=7 nr_cpus=3 brd.rd_nr=0 pmtmr=0 -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel info',
  );
});

test('an odd memory size is rounded up', () => {
  assert.equal(
    linuxVmDocument({ id: 'x', memoryMb: 301 }).VirtualMachine?.ComputeTopology.Memory.SizeInMB,
    302,
  );
});

test('without boot files there is no kernel and no root disk', () => {
  const { VirtualMachine: vm } = linuxVmDocument({ id: 'x' });
  assert.deepEqual(vm?.Chipset, {});
  assert.deepEqual(vm?.Devices?.Scsi?.['0']?.Attachments, {});
});
