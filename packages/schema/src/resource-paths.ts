import type { Resource } from './document-table.ts';

const addOrRemove = ['Add', 'Remove'] as const;

/**
 * What `ModifySettingRequest.ResourcePath` may name, and what `Settings` are then. The paths are those of upstream's
 * `internal/hcs/resourcepaths`. Types, request types and `ignoredOnRemove`: the table in Microsoft's reference
 * of `HcsModifyComputeSystem`, and for the paths that it lacks what upstream sends. Where neither tells, Settings
 * are `any`. Builds are those of the schemas that have the device; settings are dated by their own types.
 */
export const resources: readonly Resource[] = [
  { path: 'Container/Devices/Generic', settings: 'any' },
  { path: 'Container/MappedDirectories', settings: 'MappedDirectory' },
  { path: 'Container/MappedPipes', settings: 'MappedPipe' },
  { path: 'Container/Memory/SizeInMB', settings: 'uint64' },
  { path: 'Container/RegistryFlushState', settings: 'RegistryFlushState' },
  { path: 'Container/Processor', settings: 'ContainerProcessor' },

  { path: 'VirtualMachine/ComputeTopology/Gpu', settings: 'GpuConfiguration', requests: ['Update'] },
  { path: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', settings: 'uint64' },
  { path: 'VirtualMachine/ComputeTopology/Processor/CpuGroup', settings: 'CpuGroup' },
  {
    path: 'VirtualMachine/ComputeTopology/Processor/IdledProcessors',
    settings: 'IdleProcessorsRequest',
    requests: ['Update'],
  },
  { path: 'VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap', settings: 'uint32' },
  { path: 'VirtualMachine/ComputeTopology/Processor/Limits', settings: 'ProcessorLimits' },

  { path: 'VirtualMachine/Devices/ComPorts/%d', settings: 'ComPort' },
  { path: 'VirtualMachine/Devices/FlexibleIov/%s', settings: 'FlexibleIoDevice', requests: ['Add'] },
  {
    path: 'VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/%s',
    settings: 'HvSocketServiceConfig',
  },
  { path: 'VirtualMachine/Devices/Licensing', settings: 'any' },
  { path: 'VirtualMachine/Devices/MappedPipes/%s', settings: 'NoSettings', requests: addOrRemove },
  { path: 'VirtualMachine/Devices/NetworkAdapters/%s', settings: 'NetworkAdapter' },
  { path: 'VirtualMachine/Devices/Plan9/Shares', settings: 'Plan9Share' },
  {
    path: 'VirtualMachine/Devices/Scsi/%s/Attachments/%d',
    settings: 'Attachment',
    ignoredOnRemove: true,
  },
  { path: 'VirtualMachine/Devices/SharedMemory/Regions', settings: 'SharedMemoryRegion' },
  {
    path: 'VirtualMachine/Devices/VirtualPci/%s',
    settings: 'VirtualPciDevice',
    requests: addOrRemove,
    since: 19041,
    ignoredOnRemove: true,
  },
  {
    path: 'VirtualMachine/Devices/VirtualPMem/Devices/%d',
    settings: 'VirtualPMemDevice',
    requests: addOrRemove,
    ignoredOnRemove: true,
  },
  {
    path: 'VirtualMachine/Devices/VirtualPMem/Devices/%d/Mappings/%d',
    settings: 'VirtualPMemMapping',
    requests: addOrRemove,
    since: 18362,
    ignoredOnRemove: true,
  },
  { path: 'VirtualMachine/Devices/VirtualSmb/Shares', settings: 'VirtualSmbShare' },
];
