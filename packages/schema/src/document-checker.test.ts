import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDocument as checkNetworkDocument } from './hcn.ts';
import { type CheckOptions, checkDocument, findFault } from './hcs.ts';
import { isHcsError } from './hresult.ts';
import { nearestName } from './nearest-name.ts';

const vm = (machine: object): object => ({
  Owner: 'test',
  SchemaVersion: { Major: 2, Minor: 1 },
  VirtualMachine: machine,
});

const disk = (attachment: object): object =>
  vm({ Devices: { Scsi: { 0: { Attachments: { 1: attachment } } } } });

const faults: [why: string, document: unknown, path: string, problem: string, options?: CheckOptions][] = [
  [
    'a word that the schema does not know',
    disk({ Type: 'Floppy' }),
    'VirtualMachine.Devices.Scsi["0"].Attachments["1"].Type',
    'must be one of VirtualDisk, Iso, PassThru, ExtensibleVirtualDisk, not another string',
  ],
  [
    'a number for a path',
    disk({ Path: 7 }),
    'VirtualMachine.Devices.Scsi["0"].Attachments["1"].Path',
    'must be a string, not a number',
  ],
  [
    'a word with a typing error in its name',
    disk({ Typ: 'VirtualDisk' }),
    'VirtualMachine.Devices.Scsi["0"].Attachments["1"].Typ',
    'is unknown, did you mean "Type"?',
  ],
  ['a field in another case', { owner: 'x' }, 'owner', 'is unknown, did you mean "Owner"?'],
  ['a field like no other', { Colour: 'blue' }, 'Colour', 'is unknown'],
  [
    'a negative size',
    vm({ ComputeTopology: { Memory: { SizeInMB: -1 } } }),
    'VirtualMachine.ComputeTopology.Memory.SizeInMB',
    'must be a whole number from 0 to 2⁶⁴ − 1, not another number',
  ],
  [
    'half a processor',
    vm({ ComputeTopology: { Processor: { Count: 0.5 } } }),
    'VirtualMachine.ComputeTopology.Processor.Count',
    'must be a whole number from 0 to 4294967295, not another number',
  ],
  [
    'a list for a map',
    vm({ Devices: { Scsi: [] } }),
    'VirtualMachine.Devices.Scsi',
    'must be an object, not a list',
  ],
  [
    'a map for a list',
    vm({ Devices: { VirtualSmb: { Shares: {} } } }),
    'VirtualMachine.Devices.VirtualSmb.Shares',
    'must be a list, not an object',
  ],
  [
    'an item of a list',
    vm({ Devices: { VirtualSmb: { Shares: [{ Name: 'a' }, { Name: true }] } } }),
    'VirtualMachine.Devices.VirtualSmb.Shares[1].Name',
    'must be a string, not a boolean',
  ],
  ['no document at all', null, '', 'must be an object, not null'],
  [
    'a field that came later',
    vm({ Devices: { VirtualPci: {} } }),
    'VirtualMachine.Devices.VirtualPci',
    'exists since Windows build 19041, the document is for build 17763',
    { build: 17763 },
  ],
  [
    'something that is no JSON, where anything may be',
    { HostedSystem: { callback: () => {} } },
    'HostedSystem["callback"]',
    'must be a JSON value, not a function',
  ],
];

for (const [why, document, path, problem, options] of faults) {
  test(`a document is refused for ${why}, by the path of the field`, () => {
    assert.deepEqual(findFault('ComputeSystem', document, options), { path, problem });
  });
}

test('the error names document, field and result, and never the value', () => {
  assert.throws(
    () => checkDocument('Attachment', { Path: { password: 'hunter2' } }),
    (error) => {
      assert.ok(isHcsError(error, 'HCS_E_INVALID_JSON'));
      assert.equal(
        error.message,
        'Cannot use the document "Attachment": field "Path" must be a string, not an object, HCS_E_INVALID_JSON (0x8037010D)',
      );
      return true;
    },
  );
});

test('a document that fits comes back as it is', () => {
  const document = disk({ Type: 'VirtualDisk', Path: '/a.vhd', ReadOnly: null, CachingMode: undefined });
  assert.equal(checkDocument('ComputeSystem', document), document);
});

test('a word that came later is refused for an older build, and shown, as it is a word of the schema', () => {
  const query = { ResourceType: 'CimMount' };
  assert.equal(findFault('GuestModifySettingRequest', query, { build: 19041 }), undefined);
  assert.deepEqual(findFault('GuestModifySettingRequest', query, { build: 18362 }), {
    path: 'ResourceType',
    problem: 'is "CimMount", which exists since Windows build 19041, the document is for build 18362',
  });
});

test('a whole document that came later is refused for an older build', () => {
  assert.deepEqual(findFault('ShutdownOptions', {}, { build: 19041 }), {
    path: '',
    problem: 'exists since Windows build 20348, the document is for build 19041',
  });
});

test('what existed before it was published passes on builds that have it', () => {
  const groups = { CpuGroups: [{ GroupId: 'df6d0690-79e5-55b6-a5ec-c1e2f77f580a' }] };
  assert.equal(findFault('CpuGroupConfigurations', groups, { build: 17763 }), undefined);
});

test('unknown fields pass when they may, and are still held to the limits', () => {
  const document = { Colour: { shade: ['light', 'dark'] } };
  assert.equal(findFault('ComputeSystem', document, { allowUnknownFields: true }), undefined);
  assert.deepEqual(findFault('ComputeSystem', document, { allowUnknownFields: true, maxDepth: 2 }), {
    path: 'Colour["shade"][0]',
    problem: 'is nested deeper than 2 levels',
  });
});

test("a policy's settings are checked by its type", () => {
  assert.throws(
    () =>
      checkNetworkDocument('HostComputeEndpoint', {
        Policies: [
          { Type: 'ACL', Settings: { Action: 'Allow', Direction: 'In' } },
          { Type: 'PortMapping', Settings: { InternalPort: 80, ExternalPort: 70000 } },
        ],
      }),
    /field "Policies\[1\]\.Settings\.ExternalPort" must be a whole number from 0 to 65535, not another number/,
  );
});

test("a network's addresses come from DHCP, in the word of Learn and in that of upstream", () => {
  for (const Type of ['Static', 'Dhcp', 'DHCP'] as const)
    checkNetworkDocument('HostComputeNetwork', { Type: 'Transparent', Ipams: [{ Type }] });
  assert.throws(
    () => checkNetworkDocument('HostComputeNetwork', { Ipams: [{ Type: 'dhcp' as 'DHCP' }] }),
    /field "Ipams\[0\]\.Type" must be one of Static, Dhcp, DHCP, /,
  );
});

test('names of Object.prototype are no fields and no documents', () => {
  assert.equal(findFault('ComputeSystem', JSON.parse('{"__proto__":{}}'))?.path, '__proto__');
  assert.equal(findFault('ComputeSystem', { constructor: 'x' })?.problem, 'is unknown');
  assert.throws(() => findFault('toString' as 'ComputeSystem', {}), /Cannot check a "toString"/);
});

test('a document that is nested 100,000 deep is refused without a deep stack', () => {
  let nested: unknown = 1;
  for (let level = 0; level < 100_000; level++) nested = [nested];
  const fault = findFault('ModifySettingRequest', { Settings: nested });
  assert.match(fault?.problem ?? '', /nested deeper than 64 levels/);
  assert.ok((fault?.path.length ?? 0) < 200);
  const deeper = findFault('ModifySettingRequest', { Settings: nested }, { maxDepth: 200_000 });
  assert.match(deeper?.problem ?? '', /more than the 100000 values/);
});

test('an object that holds itself is refused', () => {
  const circle: Record<string, unknown> = {};
  circle.a = circle;
  circle.b = [circle, circle];
  assert.match(findFault('ModifySettingRequest', { Settings: circle })?.problem ?? '', /nested deeper/);
});

test('a document is refused for too many values and for too many characters', () => {
  const list = { CommandArgs: Array.from({ length: 11 }, () => 'x') };
  assert.deepEqual(findFault('ProcessParameters', list, { maxValues: 10 }), {
    path: 'CommandArgs',
    problem: 'is more than the 10 values that a document may hold',
  });
  assert.deepEqual(findFault('ProcessParameters', { Environment: { a: '', b: '' } }, { maxValues: 2 }), {
    path: 'Environment["b"]',
    problem: 'is more than the 2 values that a document may hold',
  });
  assert.deepEqual(findFault('ProcessParameters', { CommandLine: 'abcdef' }, { maxCharacters: 12 }), {
    path: 'CommandLine',
    problem: 'is more than the 12 characters that a document may hold',
  });
});

test('a long key is cut in the path', () => {
  const fault = findFault('ProcessParameters', { Environment: { ['k'.repeat(1000)]: 1 } });
  assert.equal(fault?.path, `Environment["${'k'.repeat(64)}…"]`);
});

const formats: [type: string, fits: unknown[], misfits: unknown[]][] = [
  ['GuestState.GuestStateFilePath', ['', 'a'], [1, {}]],
  ['Version.Major', [0, 0xffffffff], [-1, 2 ** 32, 1.5, Number.NaN, '1', 1n]],
  ['CpuGroup.Id', ['DF6D0690-79e5-55b6-a5ec-c1e2f77f580a'], ['', '{df6d0690-79e5-55b6-a5ec-c1e2f77f580a}']],
  ['NetworkAdapter.MacAddress', ['00-15-5D-52-C0-00', '00:15:5d:52:c0:00'], ['00155d52c000', 5]],
  ['RegistryValue.BinaryValue', ['', 'AAEC', 'AA=='], ['A', 'AA-_', [0, 1]]],
  [
    'Statistics.Timestamp',
    ['2024-10-28T12:00:00Z', '2024-10-28T12:00:00.1234567+02:00'],
    ['yesterday', 0, new Date()],
  ],
];

for (const [type, fits, misfits] of formats) {
  test(`${type} takes what has its format`, () => {
    const [name, field] = type.split('.') as ['Version', string];
    for (const value of fits) assert.equal(findFault(name, { [field]: value }), undefined, String(value));
    for (const value of misfits)
      assert.equal(findFault(name, { [field]: value })?.path, field, String(value));
  });
}

test('the nearest name is one that a slip of the pen away, or none', () => {
  const names = ['SizeInMB', 'AllowOvercommit', 'Backing', 'Type'];
  assert.equal(nearestName('sizeinmb', names), 'SizeInMB');
  assert.equal(nearestName('AlowOvercommit', names), 'AllowOvercommit');
  assert.equal(nearestName('Bakcing', names), 'Backing');
  assert.equal(nearestName('Size', names), undefined);
  assert.equal(nearestName('x', names), undefined);
  assert.equal(nearestName('y'.repeat(1_000_000), names), undefined);
});
