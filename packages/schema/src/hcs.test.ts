import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { linuxVmDocument, ScsiDisks } from '@hcsshim/uvm';
import type { HostComputeEndpoint } from './hcn.ts';
import { type ComputeSystem, checkDocument, type ModifySettingRequest, type VirtualMachine } from './hcs.ts';
import type { ContainerConfig } from './hcs-v1.ts';

const bootFiles = { kernel: '/boot/vmlinux', initrd: '/boot/initrd.img', rootfs: '/boot/rootfs.vhd' };

test("a Linux VM's document is one of schema 2, with kernel and without", () => {
  const booting: ComputeSystem = linuxVmDocument({
    id: 'x',
    bootFiles,
    processorLimit: 5000,
    processorWeight: 100,
  });
  checkDocument('ComputeSystem', booting, { build: 18362 });
  checkDocument('ComputeSystem', linuxVmDocument({ id: 'x' }), { build: 17763 });
  assert.throws(
    () => checkDocument('ComputeSystem', booting, { build: 17763 }),
    /"VirtualMachine.Chipset.LinuxKernelDirect" exists since Windows build 18362/,
  );
});

test('the requests that attach a disk and take it off are documents of schema 2', async () => {
  const requests: ModifySettingRequest[] = [];
  const system = { id: 'vm', modify: async (request: ModifySettingRequest) => void requests.push(request) };
  const guest = { modifySettings: async () => {} };
  const disks = new ScsiDisks(
    system as unknown as ConstructorParameters<typeof ScsiDisks>[0],
    guest as unknown as ConstructorParameters<typeof ScsiDisks>[1],
    1,
    [],
  );
  await using disk = await disks.mount({ path: '/a.vhd', readOnly: true });
  await disk[Symbol.asyncDispose]();
  assert.deepEqual(
    requests.map(({ RequestType }) => RequestType),
    ['Add', 'Remove'],
  );
  for (const request of requests) checkDocument('ModifySettingRequest', request);
  checkDocument('Attachment', requests[0]?.Settings);
});

test('types refuse what the validator refuses', () => {
  const machine: VirtualMachine = {
    Chipset: { LinuxKernelDirect: { KernelFilePath: '/vmlinux' } },
    ComputeTopology: { Memory: { SizeInMB: 256, Backing: 'Virtual' }, Processor: { Count: 2 } },
    Devices: {
      Scsi: { 0: { Attachments: { 0: { Type: 'VirtualDisk', Path: '/a.vhd' } } } },
      // @ts-expect-error: a word that the schema does not know
      VirtualPMem: { Backing: 'Tape' },
    },
  };
  assert.throws(() => checkDocument('VirtualMachine', machine));
  // @ts-expect-error: a field that the schema does not know
  const coloured: VirtualMachine = { Colour: 'blue' };
  assert.throws(() => checkDocument('VirtualMachine', coloured));
  // @ts-expect-error: no such document
  assert.throws(() => checkDocument('Machine', {}), TypeError);
});

test("a policy's type says which settings it has", () => {
  const endpoint: HostComputeEndpoint = {
    Policies: [
      { Type: 'PortMapping', Settings: { Protocol: 6, InternalPort: 80, ExternalPort: 8080 } },
      // @ts-expect-error: settings of another policy
      { Type: 'OutBoundNAT', Settings: { ExternalPort: 8080 } },
    ],
  };
  assert.equal(endpoint.Policies?.length, 2);
});

test('a checked document has its type', () => {
  const checked = checkDocument('ProcessParameters', JSON.parse('{"CommandLine":"cmd"}'));
  const commandLine: string | undefined = checked.CommandLine;
  assert.equal(commandLine, 'cmd');
  const config: ContainerConfig = {
    SystemType: 'Container',
    Name: 'x',
    Layers: [{ ID: 'a', Path: 'C:\\a' }],
  };
  assert.equal(config.Layers?.length, 1);
});

test('the main door loads no tables and no meanings', async () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    await import(${JSON.stringify(new URL('index.ts', import.meta.url).href)});
    console.log(loaded.filter((url) => /generated|document-checker|hresult-meanings/.test(url)).length, loaded.length > 4);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  assert.equal(stdout.trim(), '0 true');
});
