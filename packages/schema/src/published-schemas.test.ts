import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { table } from './generated/hcs/v2-table.ts';

/** Microsoft's schemas, read here by other code than the generator's. */
interface Property {
  type?: string;
  format?: string;
  pattern?: string;
  $ref?: string;
  items?: Property;
  additionalProperties?: Property;
}

type Definitions = Record<string, { properties?: Record<string, Property>; enum?: string[] }>;

const folder = new URL('../hcs-schema/', import.meta.url);
const schemas: [build: number, Definitions][] = await Promise.all(
  (
    [
      [17763, 'windows_10_SDK_version_1809.json'],
      [18362, 'windows_10_SDK_version_1903.json'],
      [19041, 'windows_10_SDK_version_2004.json'],
      [20348, 'windows_10_SDK_version_2104.json'],
      [22000, 'windows_11_SDK_version_21H2.json'],
    ] as const
  ).map(async ([build, file]) => {
    const schema = JSON.parse(await readFile(new URL(file, folder), 'utf8')) as { definitions: Definitions };
    return [build, schema.definitions] as [number, Definitions];
  }),
);

/** What the schemas up to build 19041 call differently. Elsewhere we only drop the underscore. */
const olderNames: Record<string, string> = {
  HvSocket: 'ContainerHvSocket',
  HvSocket_2: 'VirtualMachineHvSocket',
  Memory: 'ContainerMemory',
  Memory_2: 'VirtualMachineMemory',
  Processor: 'ContainerProcessor',
  Processor_2: 'VirtualMachineProcessor',
  PropertyQuery: 'ServicePropertyQuery',
  PropertyQuery_2: 'SystemPropertyQuery',
  PropertyType: 'GetPropertyType',
  PropertyType_2: 'SystemPropertyType',
  Device_2: 'RuntimeStateDevice',
};

function publishedName(name: string): string {
  return olderNames[name] ?? ownName(name);
}

function ownName(name: string): string {
  return name.replaceAll('_', '');
}

function typeOf(property: Property, rename: (name: string) => string): string {
  if (property.items) return `${typeOf(property.items, rename)}[]`;
  if (property.type?.startsWith('CaseInsensitiveStringMap')) return 'NvramVariable{}';
  if (property.$ref) return rename(property.$ref.split('/').at(-1) as string);
  if (property.additionalProperties) return `${typeOf(property.additionalProperties, rename)}{}`;
  if (property.type === 'object') return 'any';
  if (property.pattern) return 'guid';
  const formats: Record<string, string> = {
    byte: 'base64',
    binary: 'base64',
    'date-time': 'datetime',
    'mac-address': 'mac',
  };
  return formats[property.format ?? ''] ?? property.format ?? (property.type as string);
}

/** The members of a definition of ours: fields with their types, or words with the type `word`. */
function membersOf(name: string): Map<string, { type: string; since: number }> {
  const definition = table[name];
  const members = new Map<string, { type: string; since: number }>();
  const start = definition?.since ?? 0;
  for (const [field, marked] of Object.entries(definition?.fields ?? {})) {
    const [type, since] = marked.split('@') as [string, string?];
    members.set(field, { type, since: Number(since ?? start) });
  }
  for (const value of definition?.values ?? [])
    members.set(String(value), { type: 'word', since: definition?.valuesSince?.[String(value)] ?? start });
  return members;
}

/** Where we differ on purpose. Nothing else may differ. */
const differences: {
  typesChanged: string[];
  publishedLater: Record<string, string>;
  noLongerPublished: Record<string, string>;
  upstreamOnly: Record<string, string>;
} = {
  /** The older schemas' type is a narrower or wider one; the newest schema's counts. */
  typesChanged: ['ModificationRequest.PropertyType: GetPropertyType is ModifyPropertyType'],
  /** Existed before the first schema that has it: Learn's reference dates it to an older schema version. */
  publishedLater: {
    Container: 'AdditionalDeviceNamespace',
    ContainersDefBatchedBinding: '*',
    ContainersDefContainer: '*',
    ContainersDefDevice: '*',
    CpuGroupAffinity: '*',
    CpuGroupConfig: 'GroupId Affinity GroupProperties',
    CpuGroupConfigurations: '*',
    CpuGroupProperty: '*',
    CreateGroupOperation: '*',
    DeleteGroupOperation: '*',
    DeviceCategory: '*',
    DeviceExtension: '*',
    DeviceInstance: '*',
    DeviceNamespace: '*',
    FilesystemIsolationMode: '*',
    FilesystemLayer: '*',
    FilesystemNamespace: '*',
    FilesystemNestingMode: '*',
    HostFiles: '*',
    HostProcessorModificationRequest: '*',
    InterfaceClass: '*',
    InterfaceClassType: '*',
    JobCpu: '*',
    JobMemory: '*',
    JobNamespace: '*',
    JobSystemRoot: '*',
    JobTerminationPolicy: '*',
    LogicalProcessor: 'LpIndex NodeNumber PackageId CoreId RootVpIndex',
    ModifyPropertyType: '*',
    ModifyServiceOperation: '*',
    MountManagerMountPoint: '*',
    MountManagerNamespace: '*',
    NamedPipeNamespace: '*',
    NamedPipeSymlink: '*',
    Namespace: '*',
    NetworkNamespace: '*',
    ObjectDirectory: '*',
    ObjectDirectoryShadow: '*',
    ObjectNamespace: '*',
    ObjectSymlink: '*',
    ObjectSymlinkScope: '*',
    ProcessorTopology: '*',
    RegistryDeleteKey: '*',
    RegistryHiveStack: '*',
    RegistryLayer: '*',
    RegistryMakeKey: '*',
    RegistryMakeValue: '*',
    RegistryNamespace: '*',
    RegistryRedirectionNode: '*',
    RegistrySymlink: '*',
    SetPropertyOperation: '*',
    SystemProcessorModificationRequest: '*',
  },
  /** In older schemas only. Upstream still uses some of it on newer builds, so all is kept, and the docstring says so. */
  noLongerPublished: {
    Devices: 'KernelIntegration',
    FilteredPropertyQuery: '*',
    GetPropertyType: 'Memory CacheAllocation CacheMonitoring MemoryBwAllocation Undefined',
    NetworkModifyRequestType: '*',
    NetworkModifySettingRequest: '*',
    Nvram: '*',
    NvramVariable: '*',
    NvramVendor: '*',
    Properties: 'ICHeartbeatStatus',
    Rs4NetworkModifySettingRequest: '*',
    RuntimeState: '*',
    RuntimeStateDevice: '*',
    ServicePropertyQuery: 'FilteredQueries',
    SystemPropertyType: 'GuestMemory ICHeartbeatStatus',
    SystemType: 'Host',
    VirtualMachineProcessor: 'EnablePerfmonArchPmu',
  },
  /** Never published, known from upstream. */
  upstreamOnly: {
    Attachment:
      'IgnoreFlushes NoWriteHardening DisableExpansionOptimization IgnoreRelativeLocator CaptureIoAttributionContext ExtensibleVirtualDiskType',
    AttachmentType: 'ExtensibleVirtualDisk',
    BlackoutExitedEventDetails: '*',
    CacheQueryStatsResponse: '*',
    Chipset: 'FirmwareFile',
    CombinedLayers: 'FilterType',
    CompatibilityInfo: '*',
    Container: 'IsolationType',
    ContainerDefinitionDevice: '*',
    ContainerIsolationType: '*',
    ContainerMemoryInformation: '*',
    CpuGroupPropertyCode: '*',
    DebugOptions: '*',
    DeviceExtensionNamespace: '*',
    FileSystemFilterType: '*',
    FirmwareFile: '*',
    GuestState: 'GuestStateFileType',
    HvSocketServiceConfig: 'Disabled',
    InterruptModerationValue: '*',
    IsolationSettings: '*',
    LayerData: 'FilterType',
    MemoryBackingType: '*',
    MemoryMigrationTransferThrottleParams: '*',
    MigrationCancelOptions: '*',
    MigrationCompressionSettings: '*',
    MigrationEvent: '*',
    MigrationFinalOperation: '*',
    MigrationFinalizedOptions: '*',
    MigrationInitializeOptions: '*',
    MigrationMemoryTransport: '*',
    MigrationNetworkSettings: '*',
    MigrationOrigin: '*',
    MigrationResult: '*',
    MigrationStartOptions: '*',
    MigrationTransferOptions: '*',
    Numa: '*',
    NumaNode: '*',
    NumaNodeMemory: '*',
    NumaNodeProcessor: '*',
    NumaProcessors: '*',
    NumaSetting: '*',
    OperationSystemMigrationNotificationInfo: '*',
    Plan9Share: 'Flags ReadOnly UseShareRootIdentity',
    Properties: 'SystemGUID LCOWMetrics',
    Range: '*',
    SecuritySettings: '*',
    SiloProperties: '*',
    StartOptions: '*',
    Storage: 'PrivilegedContainerRootPath',
    SystemPropertyType: 'SystemGUID',
    Topology: 'Numa',
    VirtualMachine: 'DebugOptions SecuritySettings ResourcePartitionId MigrationOptions',
    VirtualMachineMemory: 'Backing SlitType',
    VirtualMachineProcessor: 'NumaProcessorsSettings',
    VirtualPciDevice: 'PropagateNumaAffinity',
    VirtualSlitType: '*',
    WindowsCrashReporting: 'DumpType',
  },
};

test('each published definition, field and word is ours, with its type, from the build of its schema on', () => {
  const changed = new Set<string>();
  for (const [build, definitions] of schemas) {
    for (const [oldName, definition] of Object.entries(definitions)) {
      const name = publishedName(oldName);
      assert.ok(table[name], `${oldName} of build ${build}`);
      assert.ok((table[name]?.since ?? 0) <= build, `${name} is dated after build ${build}`);
      const members = membersOf(name);
      for (const [field, property] of Object.entries(definition.properties ?? {})) {
        const ours = members.get(field);
        assert.ok(ours, `${name}.${field} of build ${build}`);
        assert.ok(ours.since <= build, `${name}.${field} is dated after build ${build}`);
        if (ours.type !== typeOf(property, publishedName))
          changed.add(`${name}.${field}: ${typeOf(property, publishedName)} is ${ours.type}`);
      }
      for (const word of definition.enum ?? []) {
        const ours = members.get(word);
        assert.ok(ours, `${name} "${word}" of build ${build}`);
        assert.ok(ours.since <= build, `${name} "${word}" is dated after build ${build}`);
      }
    }
  }
  assert.deepEqual([...changed].sort(), differences.typesChanged);
});

test('what we have beyond the published schemas is listed with its reason', () => {
  const found: Record<'publishedLater' | 'noLongerPublished' | 'upstreamOnly', Record<string, string[]>> = {
    publishedLater: {},
    noLongerPublished: {},
    upstreamOnly: {},
  };
  for (const name of Object.keys(table)) {
    for (const [member, { since }] of membersOf(name)) {
      const published = schemas.filter(([, definitions]) =>
        Object.entries(definitions).some(
          ([other, { properties, enum: words }]) =>
            publishedName(other) === name &&
            (Object.hasOwn(properties ?? {}, member) || words?.includes(member)),
        ),
      );
      const builds = published.map(([build]) => build);
      const note = (reason: keyof typeof found): void => {
        (found[reason][name] ??= []).push(member);
      };
      if (builds.length === 0) note('upstreamOnly');
      else {
        if (!builds.includes(22000)) note('noLongerPublished');
        if (schemas.some(([build]) => build >= since && build < (builds[0] as number)))
          note('publishedLater');
      }
    }
  }
  for (const reason of ['publishedLater', 'noLongerPublished', 'upstreamOnly'] as const) {
    const listed = Object.fromEntries(
      Object.entries(found[reason]).map(([name, members]) => [
        name,
        members.length === membersOf(name).size ? '*' : members.map((member) => member || '""').join(' '),
      ]),
    );
    assert.deepEqual(listed, differences[reason]);
  }
});

test('types of the file of types have the fields and words of the table', async () => {
  for (const family of ['v2', 'v1', 'hcn', 'hns']) {
    const source = await readFile(new URL(`generated/hcs/${family}.ts`, import.meta.url), 'utf8');
    const module = (await import(`./generated/hcs/${family}-table.ts`)) as { table: typeof table };
    const declared = new Map<string, string[]>();
    for (const [, name, body] of source.matchAll(/^export interface (\w+) \{\n(.*?)^\}/gms))
      declared.set(
        name as string,
        [...(body as string).matchAll(/^ {2}(\w+)\??:/gm)].map(([, field]) => field as string),
      );
    for (const [, name, body] of source.matchAll(/^export type (\w+) =\n(.*?);\n/gms))
      declared.set(
        name as string,
        [...(body as string).matchAll(/^ {2}\| ('.*?'|\d+)$/gm)].map(([, word]) => word as string),
      );
    assert.deepEqual(
      declared.get('Documents'),
      Object.entries(module.table)
        .filter(([, { fields }]) => fields)
        .map(([name]) => name)
        .sort(),
    );
    for (const [name, { fields, values, settings }] of Object.entries(module.table)) {
      if (settings) continue;
      const ours = fields
        ? Object.keys(fields)
        : (values ?? []).map((value) => (typeof value === 'number' ? String(value) : `'${value}'`));
      if (fields || values) assert.deepEqual(declared.get(name), ours, `${family} ${name}`);
    }
  }
});

test('what Microsoft does not publish as JSON has the definitions, fields and words of our own schemas', async () => {
  for (const family of ['v1', 'hcn', 'hns']) {
    const schema = await readFile(new URL(`schema-${family}.json`, folder), 'utf8');
    const module = (await import(`./generated/hcs/${family}-table.ts`)) as { table: typeof table };
    const names = new Set<string>();
    for (const [name, definition] of Object.entries(
      (JSON.parse(schema) as { definitions: Definitions }).definitions,
    )) {
      const ours = module.table[ownName(name)];
      names.add(ownName(name));
      assert.deepEqual(Object.keys(ours?.fields ?? {}), Object.keys(definition.properties ?? {}), name);
      assert.deepEqual(ours?.values ?? [], definition.enum ?? [], name);
      for (const [field, property] of Object.entries(definition.properties ?? {}))
        assert.equal(ours?.fields?.[field], typeOf(property, ownName), `${name}.${field}`);
    }
    assert.deepEqual(new Set(Object.keys(module.table)), names);
  }
});
