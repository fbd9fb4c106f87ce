import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HResultName, isHcsError } from '@hcsshim/hcs';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { writeVhd } from './contract/linux-harness.ts';
import { type CheckedDocument, documentDisks, validateDocument } from './document.ts';

let directory: string;
const file = (name: string): string => join(directory, name);

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'document-'));
  await writeFile(file('vmlinux'), 'kernel');
  await writeFile(file('raw.img'), Buffer.alloc(4096));
  await writeVhd(file('fixed.vhd'), 4096);
  await writeVhd(file('dynamic.vhd'), 4096, 3);
});
after(() => rm(directory, { recursive: true }));

const disk = (name: string): object => ({ Type: 'VirtualDisk', Path: file(name), ReadOnly: true });

/** A good document, with the value at `path` replaced, or taken out where it is undefined. */
function change(path: string, value: unknown): ComputeSystemDocument {
  const document = {
    Owner: 'test',
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      Chipset: { LinuxKernelDirect: { KernelFilePath: file('vmlinux'), KernelCmdLine: 'quiet' } },
      ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 2 } },
      Devices: { Scsi: { '0': { Attachments: { '0': disk('fixed.vhd') } } }, HvSocket: {} },
    },
  };
  const names = path.split('.');
  const last = names.pop() as string;
  let parent = document as Record<string, unknown>;
  for (const name of names) parent = (parent[name] ??= {}) as Record<string, unknown>;
  if (value === undefined) delete parent[last];
  else if (last !== '') parent[last] = value;
  return document as unknown as ComputeSystemDocument;
}

const check = (document: ComputeSystemDocument, bootsKernel = true): Promise<CheckedDocument> =>
  validateDocument('x', document, { bootsKernel });

const machine = 'VirtualMachine';
const scsi = `${machine}.Devices.Scsi`;

/** Where, what is put there, the code, and the path in the message where it is another. */
const mistakes: [path: string, value: unknown, code: HResultName, named?: string][] = [
  ['Owner', undefined, 'HCS_E_INVALID_JSON'],
  ['Owner', '', 'HCS_E_INVALID_JSON'],
  ['Owner', 7, 'HCS_E_INVALID_JSON'],
  ['SchemaVersion', undefined, 'HCS_E_INVALID_JSON'],
  ['SchemaVersion', [], 'HCS_E_INVALID_JSON'],
  ['SchemaVersion.Major', 1, 'ERROR_NOT_SUPPORTED', 'SchemaVersion'],
  ['SchemaVersion.Minor', 'x', 'HCS_E_INVALID_JSON'],
  ['ShouldTerminateOnLastHandleClosed', 'yes', 'HCS_E_INVALID_JSON'],
  ['Container', { Storage: {} }, 'ERROR_NOT_SUPPORTED'],
  [machine, undefined, 'HCS_E_INVALID_JSON'],
  [machine, null, 'HCS_E_INVALID_JSON'],
  [`${machine}.RestoreState`, { TemplateSystemId: 'x' }, 'ERROR_NOT_SUPPORTED'],
  [`${machine}.StopOnReset`, 1, 'HCS_E_INVALID_JSON'],
  [`${machine}.Chipset.Uefi`, { BootThis: {} }, 'ERROR_NOT_SUPPORTED'],
  [`${machine}.Chipset.LinuxKernelDirect`, undefined, 'HCS_E_INVALID_JSON'],
  [`${machine}.Chipset.LinuxKernelDirect.KernelFilePath`, 'vmlinux', 'HCS_E_INVALID_JSON'],
  [`${machine}.Chipset.LinuxKernelDirect.KernelFilePath`, '/nonexistent', 'ERROR_FILE_NOT_FOUND'],
  [`${machine}.Chipset.LinuxKernelDirect.InitRdPath`, '/nonexistent', 'ERROR_FILE_NOT_FOUND'],
  [`${machine}.Chipset.LinuxKernelDirect.KernelCmdLine`, 'a\0b', 'HCS_E_INVALID_JSON'],
  [`${machine}.ComputeTopology.Memory.SizeInMB`, 0, 'HCS_E_INVALID_JSON'],
  [`${machine}.ComputeTopology.Memory.SizeInMB`, 1.5, 'HCS_E_INVALID_JSON'],
  [`${machine}.ComputeTopology.Processor.Count`, undefined, 'HCS_E_INVALID_JSON'],
  [`${machine}.ComputeTopology.Processor.Limit`, 100_001, 'HCS_E_INVALID_JSON'],
  [`${machine}.ComputeTopology.Processor.Weight`, -1, 'HCS_E_INVALID_JSON'],
  [`${machine}.Devices.VirtualSmb`, { Shares: [{}] }, 'ERROR_NOT_SUPPORTED'],
  [`${machine}.Devices.NetworkAdapters`, { nic: {} }, 'ERROR_NOT_SUPPORTED'],
  [`${machine}.Devices.Teleporter`, {}, 'ERROR_NOT_SUPPORTED'],
  [`${machine}.Devices.ComPorts`, { '0': {} }, 'HCS_E_INVALID_JSON', 'Devices.ComPorts.0.NamedPipe'],
  [`${scsi}.4`, { Attachments: {} }, 'HCS_E_INVALID_JSON'],
  [`${scsi}.0.Attachments.64`, {}, 'HCS_E_INVALID_JSON'],
  [`${scsi}.0.Attachments.01`, {}, 'HCS_E_INVALID_JSON'],
  [`${scsi}.0.Attachments.0.Type`, 'Iso', 'ERROR_NOT_SUPPORTED'],
  [`${scsi}.0.Attachments.0.Path`, 'relative.vhd', 'HCS_E_INVALID_JSON'],
  [`${scsi}.0.Attachments.0.Path`, '/nonexistent', 'ERROR_FILE_NOT_FOUND'],
  [`${scsi}.0.Attachments.0.ReadOnly`, 'no', 'HCS_E_INVALID_JSON'],
];

describe('validateDocument', () => {
  for (const [path, value, code, named = path] of mistakes) {
    it(`refuses ${path} = ${JSON.stringify(value)} with ${code}`, async () => {
      await assert.rejects(check(change(path, value)), (error: unknown) => {
        assert.ok(isHcsError(error, code), String(error));
        assert.ok(error.message.includes(named), error.message);
        return true;
      });
    });
  }

  it('refuses a disk that is no VHD, or not a fixed one', async () => {
    const withDisk = (name: string): Promise<unknown> => check(change(`${scsi}.1.Attachments.0`, disk(name)));
    await assert.rejects(withDisk('raw.img'), { code: 'ERROR_INVALID_DATA' });
    await assert.rejects(withDisk('dynamic.vhd'), { code: 'ERROR_NOT_SUPPORTED' });
    await assert.rejects(withDisk('vmlinux'), { code: 'ERROR_INVALID_DATA' });
  });

  it('refuses a document of schema 1', async () => {
    const document = { SystemType: 'Container', Name: 'x' } as unknown as ComputeSystemDocument;
    await assert.rejects(check(document), {
      code: 'ERROR_NOT_SUPPORTED',
      message: /SystemType.*Windows host/,
    });
  });

  it('lets devices pass that ask for nothing', async () => {
    await check(change(`${machine}.Devices.Plan9`, {}));
    await check(change(`${machine}.Devices`, undefined));
  });

  it('needs no kernel where none is booted', async () => {
    await check(change(`${machine}.Chipset.LinuxKernelDirect`, undefined), false);
    await check(change(`${machine}.Chipset.LinuxKernelDirect.KernelFilePath`, '/nonexistent'), false);
  });

  it('finds disks on controllers named by number and by GUID', async () => {
    const guid = '305891A9-b251-5dfe-91a2-c25d9212275b';
    const document = await check(change(`${scsi}.${guid}`, { Attachments: { '63': disk('fixed.vhd') } }));
    assert.deepEqual(
      documentDisks(document).map(({ controller, lun }) => [controller, lun]),
      [
        [0, 0],
        [3, 63],
      ],
    );
  });
});
