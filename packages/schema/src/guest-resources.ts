import {
  anyObject,
  type Fields,
  flag,
  int32,
  listOf,
  optional,
  type Reader,
  record,
  size,
  text,
  uint8,
  uint16,
  uint32,
} from './document-reader.ts';

/**
 * Resources that a host adds to and removes from a Linux guest with ModifySettings. Keys and types are those
 * of upstream's `internal/protocol/guestresource`; a field that is zero, false or empty may be left out.
 */
export interface GuestResources {
  MappedDirectory: MappedDirectory;
  SCSIDevice: ScsiDevice;
  MappedVirtualDisk: MappedVirtualDisk;
  VPMemDevice: VPMemDevice;
  CombinedLayers: CombinedLayers;
  Network: GuestNetworkAdapter;
  VPCIDevice: VPciDevice;
  ContainerConstraints: ContainerConstraints;
  SecurityPolicy: SecurityPolicy;
  SecurityPolicyFragment: SecurityPolicyFragment;
}

export type GuestResourceType = keyof GuestResources;

/** A 9p share of the host, mounted over vsock. */
export interface MappedDirectory {
  MountPath?: string;
  /** Vsock port of the host's 9p server. */
  Port?: number;
  ShareName?: string;
  ReadOnly?: boolean;
}

/** A disk at its place on the bus; only Remove is defined, which deletes the device before it is unplugged. */
export interface ScsiDevice {
  Controller?: number;
  Lun?: number;
}

/** A SCSI disk and where it is mounted. With an empty `MountPath` the guest does nothing. */
export interface MappedVirtualDisk {
  MountPath?: string;
  Lun?: number;
  Controller?: number;
  /** From 1; 0 or absent is the whole disk. */
  Partition?: number;
  ReadOnly?: boolean;
  Encrypted?: boolean;
  /** Mount options, for example `noatime`. */
  Options?: string[];
  /** `MountPath` becomes a link to the block device instead of a mount. */
  BlockDev?: boolean;
  /** Formats a disk that carries no file system. */
  EnsureFilesystem?: boolean;
  /** @default 'ext4' */
  Filesystem?: string;
}

/** A read-only layer on a persistent memory device, whole or a range of it. */
export interface VPMemDevice {
  DeviceNumber?: number;
  MountPath?: string;
  MappingInfo?: { DeviceOffsetInBytes?: number; DeviceSizeInBytes?: number };
}

/** An overlay of layers, the topmost first; without `ScratchPath` it is read-only. */
export interface CombinedLayers {
  ContainerID?: string;
  ContainerRootPath?: string;
  Layers?: GuestLayer[];
  ScratchPath?: string;
}

export interface GuestLayer {
  Id?: string;
  Path?: string;
}

/** A network interface of a namespace, found by its MAC address. */
export interface GuestNetworkAdapter {
  NamespaceID?: string;
  ID?: string;
  MacAddress?: string;
  IPAddress?: string;
  PrefixLength?: number;
  GatewayAddress?: string;
  IPv6Address?: string;
  IPv6PrefixLength?: number;
  IPv6GatewayAddress?: string;
  /** Comma-separated. */
  DNSSuffix?: string;
  /** Comma-separated. */
  DNSServerList?: string;
  EnableLowMetric?: boolean;
  /** In bytes, taken off the MTU. */
  EncapOverhead?: number;
  VPCIAssigned?: boolean;
}

/** A PCI device passed through; the guest waits until its bus shows it. */
export interface VPciDevice {
  VMBusGUID?: string;
}

/** New limits for a container, in the form of the OCI runtime specification. */
export interface ContainerConstraints {
  Windows?: Record<string, unknown>;
  Linux?: Record<string, unknown>;
}

/** The policy of a confidential guest, base64. It can be set once. */
export interface SecurityPolicy {
  EnforcerType?: string;
  EncodedSecurityPolicy?: string;
  EncodedUVMReference?: string;
}

/** A signed addition to the policy, base64. */
export interface SecurityPolicyFragment {
  Fragment?: string;
}

const mappingInfo: Fields<NonNullable<VPMemDevice['MappingInfo']>> = {
  DeviceOffsetInBytes: optional(size),
  DeviceSizeInBytes: optional(size),
};

/** How the settings of each resource are read. */
export const guestResourceReaders: { readonly [R in GuestResourceType]: Reader<GuestResources[R]> } = {
  MappedDirectory: record<MappedDirectory>({
    MountPath: optional(text),
    Port: optional(int32),
    ShareName: optional(text),
    ReadOnly: optional(flag),
  }),
  SCSIDevice: record<ScsiDevice>({ Controller: optional(uint8), Lun: optional(uint8) }),
  MappedVirtualDisk: record<MappedVirtualDisk>({
    MountPath: optional(text),
    Lun: optional(uint8),
    Controller: optional(uint8),
    Partition: optional(size),
    ReadOnly: optional(flag),
    Encrypted: optional(flag),
    Options: optional(listOf(text)),
    BlockDev: optional(flag),
    EnsureFilesystem: optional(flag),
    Filesystem: optional(text),
  }),
  VPMemDevice: record<VPMemDevice>({
    DeviceNumber: optional(uint32),
    MountPath: optional(text),
    MappingInfo: optional(record(mappingInfo)),
  }),
  CombinedLayers: record<CombinedLayers>({
    ContainerID: optional(text),
    ContainerRootPath: optional(text),
    Layers: optional(listOf(record<GuestLayer>({ Id: optional(text), Path: optional(text) }))),
    ScratchPath: optional(text),
  }),
  Network: record<GuestNetworkAdapter>({
    NamespaceID: optional(text),
    ID: optional(text),
    MacAddress: optional(text),
    IPAddress: optional(text),
    PrefixLength: optional(uint8),
    GatewayAddress: optional(text),
    IPv6Address: optional(text),
    IPv6PrefixLength: optional(uint8),
    IPv6GatewayAddress: optional(text),
    DNSSuffix: optional(text),
    DNSServerList: optional(text),
    EnableLowMetric: optional(flag),
    EncapOverhead: optional(uint16),
    VPCIAssigned: optional(flag),
  }),
  VPCIDevice: record<VPciDevice>({ VMBusGUID: optional(text) }),
  ContainerConstraints: record<ContainerConstraints>({
    Windows: optional(anyObject),
    Linux: optional(anyObject),
  }),
  SecurityPolicy: record<SecurityPolicy>({
    EnforcerType: optional(text),
    EncodedSecurityPolicy: optional(text),
    EncodedUVMReference: optional(text),
  }),
  SecurityPolicyFragment: record<SecurityPolicyFragment>({ Fragment: optional(text) }),
};
