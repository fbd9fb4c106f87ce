import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CheckOptions } from './document-checker.ts';
import { scalars } from './document-table.ts';
import type { GuestResources, GuestResourceType } from './guest-resources.ts';
import { checkDocument, findFault } from './hcs.ts';
import { hcsTable } from './hcs-table.ts';
import { resources } from './resource-paths.ts';

const lun = 'VirtualMachine/Devices/Scsi/df6d0690-79e5-55b6-a5ec-c1e2f77f580a/Attachments/1';
const pipes = 'VirtualMachine/Devices/MappedPipes/\\\\.\\pipe\\log';
const guest = (request: object): object => ({ GuestRequest: request });

const faults: [
  why: string,
  request: object,
  path: string,
  problem: string | RegExp,
  options?: CheckOptions,
][] = [
  [
    'a word that the settings do not know',
    { ResourcePath: lun, Settings: { Type: 'Floppy' } },
    'Settings.Type',
    /^must be one of VirtualDisk, /,
  ],
  [
    'settings of another resource',
    {
      ResourcePath: 'VirtualMachine/Devices/VirtualSmb/Shares',
      Settings: { Type: 'VirtualDisk', Path: '/a' },
    },
    'Settings.Type',
    'is unknown',
  ],
  [
    'an object for a number',
    { ResourcePath: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', Settings: { SizeInMB: 512 } },
    'Settings',
    'must be a whole number from 0 to 2⁶⁴ − 1, not an object',
  ],
  [
    'a number for an object',
    { ResourcePath: 'Container/Processor', Settings: 2 },
    'Settings',
    'must be an object, not a number',
  ],
  [
    'a list of what comes one by one',
    { ResourcePath: 'VirtualMachine/Devices/Plan9/Shares', Settings: [{ Name: 'a' }] },
    'Settings',
    'must be an object, not a list',
  ],
  [
    'settings where none are',
    { ResourcePath: pipes, Settings: { HostPath: 'x' } },
    'Settings.HostPath',
    'is unknown',
  ],
  [
    'a request that the resource does not take',
    { ResourcePath: 'VirtualMachine/ComputeTopology/Gpu', RequestType: 'Add' },
    'RequestType',
    'must be Update for this ResourcePath, not another string',
  ],
  [
    'one of two requests that the resource does not take',
    { ResourcePath: pipes, RequestType: 'Update' },
    'RequestType',
    'must be Add or Remove for this ResourcePath, not another string',
  ],
  [
    'a request that nothing takes',
    { ResourcePath: pipes, RequestType: 'Change' },
    'RequestType',
    'must be one of Add, Remove, Update, not another string',
  ],
  [
    'a slip of the pen in a path',
    { ResourcePath: lun.replace('Scsi', 'Scis') },
    'ResourcePath',
    'names no known resource, did you mean "VirtualMachine/Devices/Scsi/<name>/Attachments/<number>"?',
  ],
  [
    'a path in another case',
    { ResourcePath: 'container/memory/sizeinmb', Settings: 1 },
    'ResourcePath',
    'names no known resource, did you mean "Container/Memory/SizeInMB"?',
  ],
  [
    'a name where a number belongs',
    { ResourcePath: 'VirtualMachine/Devices/ComPorts/COM1' },
    'ResourcePath',
    'names no known resource, did you mean "VirtualMachine/Devices/ComPorts/<number>"?',
  ],
  [
    'a path like no other',
    { ResourcePath: 'VirtualMachine/Elsewhere' },
    'ResourcePath',
    'names no known resource',
  ],
  ['an endless path', { ResourcePath: '/'.repeat(1_000_000) }, 'ResourcePath', 'names no known resource'],
  [
    'a path that is no text',
    { ResourcePath: 7, Settings: 1 },
    'ResourcePath',
    'must be a string, not a number',
  ],
  [
    'a resource that came later',
    { ResourcePath: 'VirtualMachine/Devices/VirtualPci/x', RequestType: 'Remove' },
    'ResourcePath',
    'names what exists since Windows build 19041, the document is for build 18362',
    { build: 18362 },
  ],
  [
    'settings that came later',
    { ResourcePath: 'VirtualMachine/ComputeTopology/Processor/Limits', Settings: { Limit: 1 } },
    'Settings',
    'exists since Windows build 20348, the document is for build 19041',
    { build: 19041 },
  ],
  [
    "a guest's resource with a wrong field",
    guest({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: { Lun: 256 } }),
    'GuestRequest.Settings.Lun',
    'must be a whole number from 0 to 255, not another number',
  ],
  [
    "a guest's resource with an unknown field",
    guest({ ResourceType: 'CombinedLayers', Settings: { Layers: [{ path: '/a' }] } }),
    'GuestRequest.Settings.Layers[0].path',
    'is unknown, did you mean "Path"?',
  ],
  [
    'a request that no guest knows',
    guest({ ResourceType: 'Network', RequestType: 'Change' }),
    'GuestRequest.RequestType',
    'must be one of Add, Remove, PreAdd, Update, not another string',
  ],
];

for (const [why, request, path, problem, options] of faults) {
  test(`a request for a change is refused: ${why}`, () => {
    const fault = findFault('ModifySettingRequest', request, options);
    assert.equal(fault?.path, path);
    if (typeof problem === 'string') assert.equal(fault.problem, problem);
    else assert.match(fault.problem, problem);
  });
}

const fitting: [why: string, request: object, options?: CheckOptions][] = [
  [
    'a disk that comes',
    { ResourcePath: lun, RequestType: 'Add', Settings: { Type: 'VirtualDisk', Path: 'C:\\a' } },
  ],
  ['a request without a type', { ResourcePath: lun, Settings: { Type: 'VirtualDisk' } }],
  [
    'a disk that goes, with settings that nobody reads',
    { ResourcePath: lun, RequestType: 'Remove', Settings: 1 },
  ],
  ['a pipe with empty settings', { ResourcePath: pipes, RequestType: 'Add', Settings: {} }],
  [
    'memory in megabytes',
    { ResourcePath: 'Container/Memory/SizeInMB', RequestType: 'Update', Settings: 512 },
  ],
  [
    'an adapter that a Windows guest is told of before',
    {
      ResourcePath: 'VirtualMachine/Devices/NetworkAdapters/df6d0690-79e5-55b6-a5ec-c1e2f77f580a',
      RequestType: 'Add',
      Settings: { EndpointId: 'df6d0690-79e5-55b6-a5ec-c1e2f77f580a', MacAddress: '00-15-5D-52-C0-00' },
      GuestRequest: {
        ResourceType: 'Network',
        RequestType: 'Add',
        Settings: { RequestType: 'PreAdd', AdapterId: 'x', Settings: { anything: [1] } },
      },
    },
  ],
  [
    'a Windows guest from which an adapter goes',
    guest({ RequestType: 'Remove', Settings: { RequestType: 'Remove', AdapterId: 'x' } }),
  ],
  ["a guest's resource that nobody knows", guest({ ResourceType: 'Lamp', Settings: { Colour: 'blue' } })],
  [
    'an unknown path that may pass',
    { ResourcePath: 'VirtualMachine/Lamps/1' },
    { allowUnknownResources: true },
  ],
  ['an unknown path where unknown fields may pass', { ResourcePath: 'Lamps' }, { allowUnknownFields: true }],
];

for (const [why, request, options] of fitting) {
  test(`a request for a change passes: ${why}`, () => {
    assert.equal(checkDocument('ModifySettingRequest', request, options), request);
  });
}

test('unknown paths may pass without unknown fields', () => {
  const options = { allowUnknownResources: true };
  const request = { ResourcePath: 'Lamps', Colour: 'blue' };
  assert.equal(findFault('ModifySettingRequest', request, options)?.path, 'Colour');
  const known = { ResourcePath: lun, Settings: { Colour: 'blue' } };
  assert.equal(findFault('ModifySettingRequest', known, options)?.path, 'Settings.Colour');
  const strict = { allowUnknownFields: true, allowUnknownResources: false };
  assert.equal(findFault('ModifySettingRequest', request, strict)?.path, 'ResourcePath');
});

test('no path of the request is in an error', () => {
  const secret = 'VirtualMachine/Devices/Scis/secret/Attachments/1';
  assert.doesNotMatch(findFault('ModifySettingRequest', { ResourcePath: secret })?.problem ?? '', /secret/);
});

test("the table has upstream's paths, each once, and a type for each", () => {
  const paths = new Set(resources.map(({ path }) => path));
  assert.equal(paths.size, resources.length);
  assert.equal(paths.size, 25);
  for (const { settings } of resources)
    assert.ok(settings === 'any' || settings in scalars || settings in hcsTable, settings);
});

/** All fields that our Linux guest reads. */
const linuxResources: { [R in GuestResourceType]: Required<GuestResources[R]> } = {
  MappedDirectory: { MountPath: '/a', Port: 1, ShareName: 'a', ReadOnly: true },
  SCSIDevice: { Controller: 0, Lun: 1 },
  MappedVirtualDisk: {
    MountPath: '/a',
    Lun: 0,
    Controller: 0,
    Partition: 1,
    ReadOnly: true,
    Encrypted: false,
    Options: ['noatime'],
    BlockDev: false,
    EnsureFilesystem: true,
    Filesystem: 'ext4',
  },
  VPMemDevice: {
    DeviceNumber: 0,
    MountPath: '/a',
    MappingInfo: { DeviceOffsetInBytes: 0, DeviceSizeInBytes: 4096 },
  },
  CombinedLayers: {
    ContainerID: 'x',
    ContainerRootPath: '/a',
    Layers: [{ Id: '0', Path: '/b' }],
    ScratchPath: '/c',
  },
  Network: {
    NamespaceID: 'n',
    ID: 'a',
    MacAddress: '00:15:5d:52:c0:00',
    IPAddress: '10.0.0.2',
    PrefixLength: 24,
    GatewayAddress: '10.0.0.1',
    IPv6Address: 'fd00::2',
    IPv6PrefixLength: 64,
    IPv6GatewayAddress: 'fd00::1',
    DNSSuffix: 'a',
    DNSServerList: '10.0.0.1',
    EnableLowMetric: true,
    EncapOverhead: 50,
    VPCIAssigned: false,
  },
  VPCIDevice: { VMBusGUID: 'df6d0690-79e5-55b6-a5ec-c1e2f77f580a' },
  ContainerConstraints: { Windows: {}, Linux: { memory: { limit: 1 } } },
  SecurityPolicy: { EnforcerType: 'rego', EncodedSecurityPolicy: 'AA==', EncodedUVMReference: 'AA==' },
  SecurityPolicyFragment: { Fragment: 'AA==' },
};

for (const [type, settings] of Object.entries(linuxResources)) {
  test(`the fields of ${type} that a Linux guest reads pass, and are checked`, () => {
    const request = (changed: object): object =>
      guest({ ResourceType: type, RequestType: 'Add', Settings: { ...settings, ...changed } });
    assert.equal(findFault('ModifySettingRequest', request({})), undefined);
    const field = Object.keys(settings)[0] as string;
    assert.equal(
      findFault('ModifySettingRequest', request({ [field]: () => {} }))?.path,
      `GuestRequest.Settings.${field}`,
    );
  });
}
