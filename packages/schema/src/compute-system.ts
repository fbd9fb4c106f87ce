/**
 * HCS documents, schema 2.x: what a caller hands to the Host Compute Service to describe a utility VM,
 * and what it sends to change one. Names and nesting are those of Microsoft's published HCS schema; only
 * what this project uses is typed here, and a document may carry more.
 */

/** Version of an HCS schema, for example `{ Major: 2, Minor: 1 }`. */
export interface SchemaVersion {
  Major: number;
  Minor: number;
}

/** The document that creates a compute system. */
export interface ComputeSystemDocument {
  /** Who created it, for example the program's name. Enumeration can filter on it. */
  Owner: string;
  SchemaVersion: SchemaVersion;
  /** The system ends when the last handle to it closes. @default false */
  ShouldTerminateOnLastHandleClosed?: boolean;
  VirtualMachine?: VirtualMachineDocument;
}

export interface VirtualMachineDocument {
  /** A reset by the guest stops the VM instead of rebooting it. */
  StopOnReset?: boolean;
  Chipset: Chipset;
  ComputeTopology: Topology;
  Devices?: Devices;
}

export interface Chipset {
  LinuxKernelDirect?: LinuxKernelDirect;
}

/** Boots a Linux kernel without firmware. Paths are on the host. */
export interface LinuxKernelDirect {
  KernelFilePath: string;
  InitRdPath?: string;
  KernelCmdLine?: string;
}

export interface Topology {
  Memory: VirtualMachineMemory;
  Processor: VirtualMachineProcessor;
}

export interface VirtualMachineMemory {
  SizeInMB: number;
  AllowOvercommit?: boolean;
}

export interface VirtualMachineProcessor {
  Count: number;
  /** Share of each processor, 1 to 100000. */
  Limit?: number;
  /** Weight against other VMs, 0 to 10000. */
  Weight?: number;
}

export interface Devices {
  /** Controllers by GUID or name; each holds attachments by LUN ("0" to "63"). */
  Scsi?: Record<string, ScsiControllerDocument>;
  /** COM ports by number as a string ("0"); the pipe is a unix socket path on Linux. */
  ComPorts?: Record<string, { NamedPipe: string }>;
  HvSocket?: HvSocketDocument;
}

export interface ScsiControllerDocument {
  Attachments: Record<string, ScsiAttachment>;
}

/** A disk at a LUN. `VirtualDisk` is a fixed VHD file on the host. */
export interface ScsiAttachment {
  Type: 'VirtualDisk' | 'PassThru';
  Path: string;
  ReadOnly?: boolean;
}

export interface HvSocketDocument {
  HvSocketConfig?: {
    DefaultBindSecurityDescriptor?: string;
    DefaultConnectSecurityDescriptor?: string;
  };
}

/** Changes a running system. What `Settings` holds depends on `ResourcePath`. */
export interface ModifySettingRequest {
  /** For example `VirtualMachine/Devices/Scsi/<controller>/Attachments/<lun>`. */
  ResourcePath: string;
  /** @default 'Add' */
  RequestType?: 'Add' | 'Remove' | 'Update';
  Settings?: unknown;
}

/** Names the compute systems that an enumeration returns. An absent filter lets all pass. */
export interface ComputeSystemQuery {
  Ids?: string[];
  Owners?: string[];
  Types?: SystemType[];
}

export type SystemType = 'VirtualMachine' | 'Container';

/** State of a compute system as HCS names it. */
export type SystemState = 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate' | 'Stopped' | 'Unknown';

/** A row of an enumeration. */
export interface ComputeSystemSummary {
  Id: string;
  SystemType: SystemType;
  Owner: string;
  /** GUID of the VM, the address of its hvsockets. */
  RuntimeId: string;
  State: SystemState;
}

export type PropertyType = 'Memory' | 'Statistics' | 'ProcessList' | 'GuestConnection';

/** Asks for properties beyond the base ones. */
export interface PropertyQuery {
  PropertyTypes: PropertyType[];
}

/** Properties of a system: always the base ones, and the asked-for others that it has. */
export interface SystemProperties extends ComputeSystemSummary {
  Stopped?: boolean;
  ExitType?: ExitType;
  Statistics?: SystemStatistics;
}

export type ExitType = 'GracefulExit' | 'ForcedExit' | 'UnexpectedExit' | 'Unknown';

export interface SystemStatistics {
  /** ISO 8601. */
  Timestamp: string;
  /** ISO 8601. */
  ContainerStartTime?: string;
  /** In units of 100 ns. */
  Uptime100ns: number;
  Processor: { TotalRuntime100ns: number; RuntimeUser100ns?: number; RuntimeKernel100ns?: number };
  Memory: {
    MemoryUsageCommitBytes: number;
    MemoryUsageCommitPeakBytes?: number;
    MemoryUsagePrivateWorkingSetBytes?: number;
  };
  Storage?: {
    ReadCountNormalized: number;
    ReadSizeBytes: number;
    WriteCountNormalized: number;
    WriteSizeBytes: number;
  };
}

/** A process to start; in a container, or in the VM when the guest agent is asked with `CreateInUtilityVm`. */
export interface ProcessParameters {
  CommandLine?: string;
  CommandArgs?: string[];
  WorkingDirectory?: string;
  Environment?: Record<string, string>;
  EmulateConsole?: boolean;
  CreateStdInPipe?: boolean;
  CreateStdOutPipe?: boolean;
  CreateStdErrPipe?: boolean;
}
