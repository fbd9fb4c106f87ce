import type { DocumentTable } from './document-table.ts';

/**
 * What a host asks a guest with `ModifySettingRequest.GuestRequest`, after upstream's `internal/protocol/guestrequest`
 * and `guestresource`. The request does not say whether its guest is Linux or Windows, so where the two take
 * different settings for one resource, a definition has the fields of both. The settings of a resource that
 * is not here pass as any JSON: the guest's agent answers for it.
 */
export const guestRequestTable: DocumentTable = {
  GuestRequest: {
    fields: { ResourceType: 'string', RequestType: 'GuestRequestType', Settings: 'any' },
    settings: {
      field: 'Settings',
      of: 'ResourceType',
      types: {
        CimMount: 'CimMount',
        CombinedLayers: 'GuestCombinedLayers',
        ContainerConstraints: 'GuestContainerConstraints',
        HvSocket: 'HvSocketAddress',
        MappedDirectory: 'GuestMappedDirectory',
        MappedPipe: 'MappedPipe',
        MappedVirtualDisk: 'GuestMappedVirtualDisk',
        Network: 'GuestNetworkAdapter',
        SCSIDevice: 'GuestScsiDevice',
        SecurityPolicy: 'GuestSecurityPolicy',
        SecurityPolicyFragment: 'GuestSecurityPolicyFragment',
        VPCIDevice: 'GuestPciDevice',
        VPMemDevice: 'GuestPMemDevice',
      },
    },
  },
  GuestRequestType: { values: ['Add', 'Remove', 'PreAdd', 'Update'] },
  GuestCombinedLayers: {
    fields: {
      ContainerID: 'string',
      ContainerRootPath: 'string',
      Layers: 'GuestLayer[]',
      ScratchPath: 'string',
      FilterType: 'FileSystemFilterType',
    },
  },
  GuestLayer: { fields: { Id: 'string', Path: 'string', PathType: 'PathType', Cache: 'CacheMode' } },
  GuestContainerConstraints: { fields: { Windows: 'any{}', Linux: 'any{}' } },
  GuestMappedDirectory: {
    fields: {
      // Linux
      MountPath: 'string',
      Port: 'int32',
      ShareName: 'string',
      ReadOnly: 'boolean',
      // Windows
      HostPath: 'string',
      HostPathType: 'PathType',
      ContainerPath: 'string',
      SupportCloudFiles: 'boolean',
    },
  },
  GuestMappedVirtualDisk: {
    fields: {
      // Linux
      MountPath: 'string',
      Lun: 'uint8',
      Controller: 'uint8',
      Partition: 'uint64',
      ReadOnly: 'boolean',
      Encrypted: 'boolean',
      Options: 'string[]',
      BlockDev: 'boolean',
      VerityInfo: 'GuestVerityInfo',
      EnsureFilesystem: 'boolean',
      Filesystem: 'string',
      // Windows
      ContainerPath: 'string',
    },
  },
  GuestVerityInfo: {
    fields: {
      Ext4SizeInBytes: 'int64',
      Version: 'int64',
      Algorithm: 'string',
      SuperBlock: 'boolean',
      RootDigest: 'string',
      Salt: 'string',
      BlockSize: 'int64',
    },
  },
  GuestNetworkAdapter: {
    fields: {
      // Linux
      NamespaceID: 'string',
      ID: 'string',
      MacAddress: 'string',
      IPAddress: 'string',
      PrefixLength: 'uint8',
      GatewayAddress: 'string',
      IPv6Address: 'string',
      IPv6PrefixLength: 'uint8',
      IPv6GatewayAddress: 'string',
      DNSSuffix: 'string',
      DNSServerList: 'string',
      EnableLowMetric: 'boolean',
      EncapOverhead: 'uint16',
      VPCIAssigned: 'boolean',
      // Windows
      AdapterId: 'string',
      AdapterInstanceId: 'string',
      RequestType: 'GuestRequestType',
      Settings: 'any',
    },
  },
  GuestScsiDevice: { fields: { Controller: 'uint8', Lun: 'uint8' } },
  GuestSecurityPolicy: {
    fields: { EnforcerType: 'string', EncodedSecurityPolicy: 'string', EncodedUVMReference: 'string' },
  },
  GuestSecurityPolicyFragment: { fields: { Fragment: 'string' } },
  GuestPciDevice: { fields: { VMBusGUID: 'string' } },
  GuestPMemDevice: {
    fields: {
      DeviceNumber: 'uint32',
      MountPath: 'string',
      MappingInfo: 'GuestPMemMapping',
      VerityInfo: 'GuestVerityInfo',
    },
  },
  GuestPMemMapping: { fields: { DeviceOffsetInBytes: 'uint64', DeviceSizeInBytes: 'uint64' } },
};
