import type { ProcessParameters, SchemaVersion } from './compute-system.ts';
import {
  anyObject,
  flag,
  int32,
  listOf,
  mapOf,
  openRecord,
  optional,
  parseDocument,
  quantity,
  type Reader,
  record,
  text,
  uint16,
  uint32,
  withDefault,
  word,
} from './document-reader.ts';
import { type GuestResources, type GuestResourceType, guestResourceReaders } from './guest-resources.ts';
import type { OciProcess, OciSpec } from './oci.ts';

/**
 * Messages between a host and the agent in its utility VM, protocol version 4. Keys, types and ids are those
 * of upstream's `internal/guest/prot` and `internal/gcs`, so that either end can be upstream's.
 */

/** The protocol version that both ends speak, the only one. */
export const guestProtocolVersion = 4;

/** The utility VM itself, where a message names a container. */
export const utilityVmId = '00000000-0000-0000-0000-000000000000';

/** An activity that has no id of its own; upstream's host sends it with every request. */
export const noActivity = '00000000-0000-0000-0000-000000000000';

/** `WaitForProcess.TimeoutInMs` for a wait without a limit. */
export const infiniteTimeout = 0xffffffff;

/** A caller's span, in OpenCensus terms. */
export interface TraceContext {
  /** Hexadecimal. */
  TraceID?: string;
  /** Hexadecimal. */
  SpanID?: string;
  TraceOptions?: number;
  /** Base64 of the trace state's entries as JSON. */
  Tracestate?: string;
}

/** What every request carries. */
export interface GuestRequestBase {
  /** A container, or {@link utilityVmId}. */
  ContainerId: string;
  /** A GUID; the response repeats it. */
  ActivityId?: string;
  ocsc?: TraceContext;
}

/** What every response carries. `Result` is an HRESULT as a signed number, 0 for success. */
export interface GuestResponseBase {
  Result: number;
  ActivityId?: string;
  ErrorMessage?: string;
  ErrorRecords?: GuestErrorRecord[];
}

/** Where in the guest an error arose. */
export interface GuestErrorRecord {
  Result: number;
  Message: string;
  StackTrace?: string;
  ModuleName: string;
  FileName: string;
  /** 0xffffffff when not known. */
  Line: number;
  FunctionName?: string;
}

export interface NegotiateProtocolRequest extends GuestRequestBase {
  MinimumVersion: number;
  MaximumVersion: number;
}

export interface NegotiateProtocolResponse extends GuestResponseBase {
  Version: number;
  Capabilities: GuestCapabilities;
}

/** What a guest can do, and what it wants of the host. */
export interface GuestCapabilities {
  /** The host creates the utility VM by a Create message of its own. */
  SendHostCreateMessage?: boolean;
  /** The host starts it, too; of no effect without `SendHostCreateMessage`. */
  SendHostStartMessage?: boolean;
  HvSocketConfigOnStartup?: boolean;
  SendLifecycleNotifications?: boolean;
  SupportedSchemaVersions?: SchemaVersion[];
  /** `Linux`; a Windows guest may leave it out. */
  RuntimeOsType?: string;
  GuestDefinedCapabilities?: GuestDefinedCapabilities;
}

export interface GuestDefinedCapabilities {
  NamespaceAddRequestSupported?: boolean;
  SignalProcessSupported?: boolean;
  DumpStacksSupported?: boolean;
  DeleteContainerStateSupported?: boolean;
  UpdateContainerSupported?: boolean;
}

export interface CreateRequest extends GuestRequestBase {
  /** A {@link ContainerConfig} as JSON. */
  ContainerConfig: string;
}

export interface CreateResponse extends GuestResponseBase {
  SelectedVersion?: string;
  SelectedProtocolVersion?: number;
}

/** Describes a Linux container to the guest. */
export interface ContainerConfig {
  SchemaVersion: SchemaVersion;
  OciBundlePath?: string;
  OciSpecification?: OciSpec;
  /** Where the guest has mounted the container's scratch disk, or a directory on a shared one. */
  ScratchDirPath?: string;
}

export interface ExecuteProcessRequest extends GuestRequestBase {
  Settings: {
    /** {@link GuestProcessParameters} as JSON. */
    ProcessParameters: string;
    VsockStdioRelaySettings?: VsockStdioRelaySettings;
  };
}

/** Ports at which the host listens for the process's stdio; 0 or absent where there is none. */
export interface VsockStdioRelaySettings {
  StdIn?: number;
  StdOut?: number;
  StdErr?: number;
}

/**
 * A process to start: in the VM (`CreateInUtilityVM`), a container's first (`OciSpecification` alone), or a
 * further one in a container.
 */
export interface GuestProcessParameters extends ProcessParameters {
  CreateInUtilityVM?: boolean;
  OciSpecification?: OciSpec;
  OciProcess?: OciProcess;
}

export interface ExecuteProcessResponse extends GuestResponseBase {
  ProcessId: number;
}

export interface WaitForProcessRequest extends GuestRequestBase {
  ProcessId: number;
  /** In milliseconds; {@link infiniteTimeout} for no limit. */
  TimeoutInMs: number;
}

export interface WaitForProcessResponse extends GuestResponseBase {
  ExitCode: number;
}

export interface SignalProcessRequest extends GuestRequestBase {
  ProcessId: number;
  /** A signal's number; 0 or absent is SIGKILL. */
  Options?: { Signal?: number };
}

export interface ResizeConsoleRequest extends GuestRequestBase {
  ProcessId: number;
  /** In rows. */
  Height: number;
  /** In columns. */
  Width: number;
}

export interface GetPropertiesRequest extends GuestRequestBase {
  /** A {@link GuestPropertyQuery} as JSON; empty asks for none. */
  Query: string;
}

export interface GetPropertiesResponse extends GuestResponseBase {
  /** {@link GuestProperties} as JSON. */
  Properties: string;
}

/** Names of properties that exist in the protocol; a Linux guest answers Statistics and ProcessList. */
export const guestPropertyTypes = [
  'Memory',
  'CpuGroup',
  'Statistics',
  'ProcessList',
  'PendingUpdates',
  'TerminateOnLastHandleClosed',
  'MappedDirectory',
  'SystemGUID',
  'Network',
  'MappedPipe',
  'MappedVirtualDisk',
] as const;

export type GuestPropertyType = (typeof guestPropertyTypes)[number];

export interface GuestPropertyQuery {
  PropertyTypes?: GuestPropertyType[];
}

export interface GuestProperties {
  ProcessList?: { ProcessId: number }[];
  LCOWMetrics?: ContainerMetrics;
}

/** Use of resources in the form of containerd's cgroup v1 metrics; times in nanoseconds, sizes in bytes. */
export interface ContainerMetrics {
  pids?: TaskMetrics;
  cpu?: { usage?: CpuUsage; throttling?: CpuThrottling };
  memory?: MemoryMetrics;
}

export interface TaskMetrics {
  current?: number;
  limit?: number;
}

export interface CpuUsage {
  total?: number;
  kernel?: number;
  user?: number;
  per_cpu?: number[];
}

export interface CpuThrottling {
  periods?: number;
  throttled_periods?: number;
  throttled_time?: number;
}

export interface MemoryMetrics {
  cache?: number;
  rss?: number;
  total_inactive_file?: number;
  usage?: MemoryUsage;
}

export interface MemoryUsage {
  limit?: number;
  usage?: number;
  max?: number;
  failcnt?: number;
}

export type GuestRequestType = 'Add' | 'Remove' | 'PreAdd' | 'Update';

/** One change of one resource; `ResourceType` tells what `Settings` is. */
export type GuestModification = {
  [R in GuestResourceType]: {
    ResourceType: R;
    /** On the wire an absent one means Add. */
    RequestType: GuestRequestType;
    Settings: GuestResources[R];
  };
}[GuestResourceType];

export interface ModifySettingsRequest extends GuestRequestBase {
  Request: GuestModification;
}

export interface DumpStacksResponse extends GuestResponseBase {
  GuestStacks: string;
}

/** Sent by the guest on its own account when a container has ended. */
export interface GuestNotification extends GuestRequestBase {
  Type: GuestNotificationType;
  Operation: GuestOperation;
  Result: number;
  /** JSON. */
  ResultInfo?: string;
}

export const guestNotificationTypes = [
  'None',
  'GracefulExit',
  'ForcedExit',
  'UnexpectedExit',
  'Reboot',
  'Constructed',
  'Started',
  'Paused',
  'Unknown',
] as const;

export type GuestNotificationType = (typeof guestNotificationTypes)[number];

const guestOperations = ['None', 'Construct', 'Start', 'Pause', 'Resume', 'Shutdown', 'Terminate'] as const;

export type GuestOperation = (typeof guestOperations)[number];

/** Request and response of each message. */
export interface GuestMessages {
  Create: { request: CreateRequest; response: CreateResponse };
  Start: { request: GuestRequestBase; response: GuestResponseBase };
  ShutdownGraceful: { request: GuestRequestBase; response: GuestResponseBase };
  ShutdownForced: { request: GuestRequestBase; response: GuestResponseBase };
  ExecuteProcess: { request: ExecuteProcessRequest; response: ExecuteProcessResponse };
  WaitForProcess: { request: WaitForProcessRequest; response: WaitForProcessResponse };
  SignalProcess: { request: SignalProcessRequest; response: GuestResponseBase };
  ResizeConsole: { request: ResizeConsoleRequest; response: GuestResponseBase };
  GetProperties: { request: GetPropertiesRequest; response: GetPropertiesResponse };
  ModifySettings: { request: ModifySettingsRequest; response: GuestResponseBase };
  NegotiateProtocol: { request: NegotiateProtocolRequest; response: NegotiateProtocolResponse };
  DumpStacks: { request: GuestRequestBase; response: DumpStacksResponse };
  DeleteContainerState: { request: GuestRequestBase; response: GuestResponseBase };
}

export type GuestMessageName = keyof GuestMessages;

/** What a frame is, by the top four bits of its type word. */
export const GuestMessageKind = { request: 1, response: 2, notification: 3 } as const;

export interface GuestMessageDefinition<N extends GuestMessageName> {
  /** Type word of the request: kind (4 bits), category 1 (8 bits), number (12 bits), version 1 (8 bits). */
  readonly requestId: number;
  readonly responseId: number;
  readonly readRequest: Reader<GuestMessages[N]['request']>;
  readonly readResponse: Reader<GuestMessages[N]['response']>;
}

/** Type word of the only notification. */
export const notificationId = 0x30100101;

const traceContext = record<TraceContext>({
  TraceID: optional(text),
  SpanID: optional(text),
  TraceOptions: optional(uint32),
  Tracestate: optional(text),
});

const requestBase = { ContainerId: text, ActivityId: optional(text), ocsc: optional(traceContext) } as const;

const errorRecord = record<GuestErrorRecord>({
  Result: withDefault(int32, 0),
  Message: withDefault(text, ''),
  StackTrace: optional(text),
  ModuleName: withDefault(text, ''),
  FileName: withDefault(text, ''),
  Line: withDefault(uint32, 0),
  FunctionName: optional(text),
});

const responseBase = {
  Result: withDefault(int32, 0),
  ActivityId: optional(text),
  ErrorMessage: optional(text),
  ErrorRecords: optional(listOf(errorRecord)),
} as const;

const schemaVersion = record<SchemaVersion>({
  Major: withDefault(uint32, 0),
  Minor: withDefault(uint32, 0),
});

const guestDefinedCapabilities = record<GuestDefinedCapabilities>({
  NamespaceAddRequestSupported: optional(flag),
  SignalProcessSupported: optional(flag),
  DumpStacksSupported: optional(flag),
  DeleteContainerStateSupported: optional(flag),
  UpdateContainerSupported: optional(flag),
});

const capabilities = record<GuestCapabilities>({
  SendHostCreateMessage: optional(flag),
  SendHostStartMessage: optional(flag),
  HvSocketConfigOnStartup: optional(flag),
  SendLifecycleNotifications: optional(flag),
  SupportedSchemaVersions: optional(listOf(schemaVersion)),
  RuntimeOsType: optional(text),
  GuestDefinedCapabilities: optional(guestDefinedCapabilities),
});

const resourceType = word(Object.keys(guestResourceReaders) as GuestResourceType[]);
const requestType = word<GuestRequestType>(['Add', 'Remove', 'PreAdd', 'Update']);

const modification: Reader<GuestModification> = (value, field) => {
  const source = anyObject(value, field);
  const type = resourceType(source.ResourceType, `${field}.ResourceType`);
  return {
    ResourceType: type,
    // Go writes an empty request type as no field, but reads both as Add.
    RequestType: requestType(source.RequestType || 'Add', `${field}.RequestType`),
    Settings: guestResourceReaders[type](source.Settings ?? {}, `${field}.Settings`),
  } as GuestModification;
};

const readBase = record<GuestRequestBase>(requestBase);
const readAnswer = record<GuestResponseBase>(responseBase);

/** Every message by name. */
export const guestMessages: { readonly [N in GuestMessageName]: GuestMessageDefinition<N> } = {
  Create: {
    requestId: 0x10100101,
    responseId: 0x20100101,
    readRequest: record<CreateRequest>({ ...requestBase, ContainerConfig: text }),
    readResponse: record<CreateResponse>({
      ...responseBase,
      SelectedVersion: optional(text),
      SelectedProtocolVersion: optional(uint32),
    }),
  },
  Start: {
    requestId: 0x10100201,
    responseId: 0x20100201,
    readRequest: readBase,
    readResponse: readAnswer,
  },
  ShutdownGraceful: {
    requestId: 0x10100301,
    responseId: 0x20100301,
    readRequest: readBase,
    readResponse: readAnswer,
  },
  ShutdownForced: {
    requestId: 0x10100401,
    responseId: 0x20100401,
    readRequest: readBase,
    readResponse: readAnswer,
  },
  ExecuteProcess: {
    requestId: 0x10100501,
    responseId: 0x20100501,
    readRequest: record<ExecuteProcessRequest>({
      ...requestBase,
      Settings: record<ExecuteProcessRequest['Settings']>({
        ProcessParameters: text,
        VsockStdioRelaySettings: optional(
          record<VsockStdioRelaySettings>({
            StdIn: optional(uint32),
            StdOut: optional(uint32),
            StdErr: optional(uint32),
          }),
        ),
      }),
    }),
    readResponse: record<ExecuteProcessResponse>({ ...responseBase, ProcessId: withDefault(uint32, 0) }),
  },
  WaitForProcess: {
    requestId: 0x10100601,
    responseId: 0x20100601,
    readRequest: record<WaitForProcessRequest>({ ...requestBase, ProcessId: uint32, TimeoutInMs: uint32 }),
    readResponse: record<WaitForProcessResponse>({ ...responseBase, ExitCode: withDefault(uint32, 0) }),
  },
  SignalProcess: {
    requestId: 0x10100701,
    responseId: 0x20100701,
    readRequest: record<SignalProcessRequest>({
      ...requestBase,
      ProcessId: uint32,
      Options: optional(record<{ Signal?: number }>({ Signal: optional(int32) })),
    }),
    readResponse: readAnswer,
  },
  ResizeConsole: {
    requestId: 0x10100801,
    responseId: 0x20100801,
    readRequest: record<ResizeConsoleRequest>({
      ...requestBase,
      ProcessId: uint32,
      Height: uint16,
      Width: uint16,
    }),
    readResponse: readAnswer,
  },
  GetProperties: {
    requestId: 0x10100901,
    responseId: 0x20100901,
    readRequest: record<GetPropertiesRequest>({ ...requestBase, Query: text }),
    readResponse: record<GetPropertiesResponse>({ ...responseBase, Properties: withDefault(text, '') }),
  },
  ModifySettings: {
    requestId: 0x10100a01,
    responseId: 0x20100a01,
    readRequest: record<ModifySettingsRequest>({ ...requestBase, Request: modification }),
    readResponse: readAnswer,
  },
  NegotiateProtocol: {
    requestId: 0x10100b01,
    responseId: 0x20100b01,
    readRequest: record<NegotiateProtocolRequest>({
      ...requestBase,
      MinimumVersion: uint32,
      MaximumVersion: uint32,
    }),
    readResponse: record<NegotiateProtocolResponse>({
      ...responseBase,
      Version: withDefault(uint32, 0),
      Capabilities: withDefault(capabilities, {}),
    }),
  },
  DumpStacks: {
    requestId: 0x10100c01,
    responseId: 0x20100c01,
    readRequest: readBase,
    readResponse: record<DumpStacksResponse>({ ...responseBase, GuestStacks: withDefault(text, '') }),
  },
  DeleteContainerState: {
    requestId: 0x10100d01,
    responseId: 0x20100d01,
    readRequest: readBase,
    readResponse: readAnswer,
  },
};

const messageNames = new Map<number, GuestMessageName>(
  Object.entries(guestMessages).map(([name, { requestId }]) => [requestId, name as GuestMessageName]),
);

/** The message whose request has this type word, or undefined for one that is not known. */
export function guestMessageName(requestId: number): GuestMessageName | undefined {
  return messageNames.get(requestId);
}

export const readNotification = record<GuestNotification>({
  ...requestBase,
  Type: word(guestNotificationTypes),
  Operation: word(guestOperations),
  Result: withDefault(int32, 0),
  ResultInfo: optional(text),
});

const ociProcess = openRecord<
  Pick<OciProcess, 'terminal' | 'consoleSize' | 'args' | 'env' | 'user'> & { cwd?: string }
>({
  terminal: optional(flag),
  consoleSize: optional(
    record<{ height: number; width: number }>({
      height: withDefault(uint32, 0),
      width: withDefault(uint32, 0),
    }),
  ),
  args: optional(listOf(text)),
  env: optional(listOf(text)),
  cwd: optional(text),
  user: withDefault(
    openRecord<OciProcess['user']>({
      uid: optional(uint32),
      gid: optional(uint32),
      umask: optional(uint32),
      additionalGids: optional(listOf(uint32)),
      username: optional(text),
    }),
    {},
  ),
}) as Reader<OciProcess>;

// Only what the agent itself looks at is checked; the OCI runtime judges the rest.
const ociSpec = openRecord<OciSpec>({
  ociVersion: withDefault(text, ''),
  process: optional(ociProcess),
  root: optional(
    openRecord<NonNullable<OciSpec['root']>>({ path: withDefault(text, ''), readonly: optional(flag) }),
  ),
  hostname: optional(text),
  mounts: optional(
    listOf(
      openRecord<NonNullable<OciSpec['mounts']>[number]>({
        destination: text,
        type: optional(text),
        source: optional(text),
        options: optional(listOf(text)),
      }),
    ),
  ),
  hooks: optional(anyObject),
  annotations: optional(mapOf(text)),
  linux: optional(anyObject),
  windows: optional(anyObject),
});

const containerConfig = record<ContainerConfig>({
  SchemaVersion: withDefault(schemaVersion, { Major: 0, Minor: 0 }),
  OciBundlePath: optional(text),
  OciSpecification: optional(ociSpec),
  ScratchDirPath: optional(text),
});

const processParameters = record<GuestProcessParameters>({
  CommandLine: optional(text),
  CommandArgs: optional(listOf(text)),
  WorkingDirectory: optional(text),
  Environment: optional(mapOf(text)),
  EmulateConsole: optional(flag),
  CreateStdInPipe: optional(flag),
  CreateStdOutPipe: optional(flag),
  CreateStdErrPipe: optional(flag),
  CreateInUtilityVM: optional(flag),
  OciSpecification: optional(ociSpec),
  OciProcess: optional(ociProcess),
});

// A guest ignores a property type that it does not know, so none is an error.
const propertyQuery = record<{ PropertyTypes?: string[] }>({ PropertyTypes: optional(listOf(text)) });

const containerMetrics = openRecord<ContainerMetrics>({
  pids: optional(openRecord<TaskMetrics>({ current: optional(quantity), limit: optional(quantity) })),
  cpu: optional(
    openRecord<NonNullable<ContainerMetrics['cpu']>>({
      usage: optional(
        openRecord<CpuUsage>({
          total: optional(quantity),
          kernel: optional(quantity),
          user: optional(quantity),
          per_cpu: optional(listOf(quantity)),
        }),
      ),
      throttling: optional(
        openRecord<CpuThrottling>({
          periods: optional(quantity),
          throttled_periods: optional(quantity),
          throttled_time: optional(quantity),
        }),
      ),
    }),
  ),
  memory: optional(
    openRecord<MemoryMetrics>({
      cache: optional(quantity),
      rss: optional(quantity),
      total_inactive_file: optional(quantity),
      usage: optional(
        openRecord<MemoryUsage>({
          limit: optional(quantity),
          usage: optional(quantity),
          max: optional(quantity),
          failcnt: optional(quantity),
        }),
      ),
    }),
  ),
});

const properties = record<GuestProperties>({
  ProcessList: optional(listOf(record<{ ProcessId: number }>({ ProcessId: withDefault(uint32, 0) }))),
  LCOWMetrics: optional(containerMetrics),
});

/** Reads the JSON in `CreateRequest.ContainerConfig`. Throws HCS_E_INVALID_JSON. */
export function parseContainerConfig(json: string): ContainerConfig {
  return parseDocument('ContainerConfig', json, containerConfig);
}

/** Reads the JSON in `ExecuteProcessRequest.Settings.ProcessParameters`. Throws HCS_E_INVALID_JSON. */
export function parseGuestProcessParameters(json: string): GuestProcessParameters {
  return parseDocument('ProcessParameters', json, processParameters);
}

/** Reads the JSON in `GetPropertiesRequest.Query`; types that do not exist are left out. Throws HCS_E_INVALID_JSON. */
export function parseGuestPropertyQuery(json: string): GuestPropertyQuery {
  if (json === '') return {};
  const { PropertyTypes = [] } = parseDocument('property query', json, propertyQuery);
  const known = new Set<string>(guestPropertyTypes);
  return { PropertyTypes: PropertyTypes.filter((type): type is GuestPropertyType => known.has(type)) };
}

/** Reads the JSON in `GetPropertiesResponse.Properties`. Throws HCS_E_INVALID_JSON. */
export function parseGuestProperties(json: string): GuestProperties {
  return parseDocument('guest properties', json === '' ? '{}' : json, properties);
}
