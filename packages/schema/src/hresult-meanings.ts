import { HResult, type HResultName, hresultName } from './hresult.ts';

/**
 * What result codes mean and what to do about them: the door `@hcsshim/schema/hresults`, which programs load
 * when there is an error to explain. The texts of HCS and HCN codes follow Microsoft's pages "HCS HRESULTs" and
 * "HCN HRESULTs".
 */
export interface ResultMeaning {
  readonly meaning: string;
  /** What to do, where there is something that most often helps. */
  readonly advice?: string;
}

/** A result code with all that is known of it. */
export interface ExplainedResult extends ResultMeaning {
  readonly name: HResultName;
  readonly hresult: number;
  /** The NTSTATUS spelling of an HCS code: 0xC0370105 for 0x80370105. */
  readonly ntStatus?: number;
}

/** Explains a code, in any spelling, or a name. Undefined for a code that is not known. */
export function explainResult(result: number | HResultName): ExplainedResult | undefined {
  const name = typeof result === 'number' ? hresultName(result) : result;
  if (name === undefined) return undefined;
  const hresult = HResult[name];
  const isHcsCode = hresult >>> 16 === 0x8037;
  return {
    name,
    hresult,
    ...(isHcsCode ? { ntStatus: 0xc0370000 + (hresult & 0xffff) } : {}),
    ...resultMeanings[name],
  };
}

export const resultMeanings: Readonly<Record<HResultName, ResultMeaning>> = {
  S_OK: { meaning: 'It worked' },
  E_NOTIMPL: { meaning: 'The call is not implemented' },
  E_NOINTERFACE: { meaning: 'The object does not have the interface' },
  E_POINTER: { meaning: 'A pointer was null' },
  E_ABORT: { meaning: 'The operation was aborted' },
  E_FAIL: { meaning: 'Something failed, and nothing more is known' },
  E_UNEXPECTED: { meaning: 'Something happened that should not' },
  ERROR_FILE_NOT_FOUND: {
    meaning: 'A file does not exist',
    advice: 'Paths in documents are those of the host',
  },
  ERROR_PATH_NOT_FOUND: { meaning: 'A directory on the way to a file does not exist' },
  E_ACCESSDENIED: {
    meaning: 'The caller lacks the rights',
    advice:
      'Run as administrator, or give the rights to the file: virtual machines need rights of their own to their disks',
  },
  ERROR_INVALID_HANDLE: {
    meaning: 'The handle is closed, or never was one',
    advice: 'Open the object again',
  },
  ERROR_INVALID_DATA: { meaning: 'Data do not have the form that they should' },
  E_OUTOFMEMORY: { meaning: 'There is not enough memory' },
  ERROR_NO_MORE_FILES: { meaning: 'The enumeration is at its end' },
  ERROR_NOT_READY: { meaning: 'The device is not ready' },
  ERROR_GEN_FAILURE: {
    meaning: 'A device does not work, or a signal found no process that would take it',
    advice: 'If a process was signalled, treat it as exited',
  },
  ERROR_SHARING_VIOLATION: {
    meaning: 'The file is in use by another process',
    advice: 'Detach the disk, or end the process that has the file open',
  },
  ERROR_NOT_SUPPORTED: {
    meaning: 'The platform does not support the request',
    advice: 'See whether the build of Windows, or the engine, has the feature',
  },
  E_INVALIDARG: { meaning: 'An argument is invalid' },
  ERROR_BROKEN_PIPE: { meaning: 'The other end of the pipe is gone' },
  ERROR_PROC_NOT_FOUND: {
    meaning: 'The DLL does not have the procedure',
    advice: 'This build of Windows does not have the call',
  },
  ERROR_DIR_NOT_EMPTY: { meaning: 'The directory is not empty' },
  ERROR_ALREADY_EXISTS: { meaning: 'An object with this name exists' },
  ERROR_NO_DATA: { meaning: 'The pipe is being closed' },
  ERROR_PIPE_NOT_CONNECTED: { meaning: 'Nobody is at the other end of the pipe' },
  ERROR_MORE_DATA: {
    meaning: 'There are more data than the buffer can hold',
    advice: 'Call again with a larger buffer',
  },
  WAIT_TIMEOUT: { meaning: 'The wait did not end in time', advice: 'Wait again, or with a longer deadline' },
  ERROR_NO_MORE_ITEMS: { meaning: 'The enumeration is at its end' },
  ERROR_DIRECTORY: { meaning: 'What is there is no directory' },
  ERROR_OPERATION_ABORTED: { meaning: 'The operation was ended by its thread or by a request' },
  ERROR_IO_PENDING: { meaning: 'The operation goes on in the background', advice: 'Wait for the operation' },
  ERROR_SHUTDOWN_IN_PROGRESS: {
    meaning: 'The system is shutting down',
    advice: 'If a system was shut down, wait for its exit',
  },
  ERROR_DEVICE_NOT_CONNECTED: { meaning: 'The device is not connected' },
  ERROR_NOT_FOUND: { meaning: 'The object does not exist, or the process has exited already' },
  ERROR_CANCELLED: { meaning: 'The operation was cancelled' },
  ERROR_PRIVILEGE_NOT_HELD: {
    meaning: 'The process does not have a privilege that this needs',
    advice: 'Run as an administrator',
  },
  ERROR_TIMEOUT: { meaning: 'The operation did not complete in time' },
  WSAEINVAL: { meaning: 'A socket call got an invalid argument' },
  WSAECONNABORTED: { meaning: 'The connection was ended by this host' },
  WSAECONNRESET: { meaning: 'The connection was ended by the other side' },
  STATUS_NO_MORE_ENTRIES: { meaning: 'The enumeration is at its end' },
  STATUS_INFO_LENGTH_MISMATCH: {
    meaning: 'The buffer does not have the size that the information needs',
    advice: 'Call again with a larger buffer',
  },
  STATUS_REPARSE_POINT_ENCOUNTERED: {
    meaning: 'A part of the path is a reparse point, which this call does not follow',
  },
  ERROR_VMCOMPUTE_OPERATION_PENDING: {
    meaning: 'The operation goes on in the background',
    advice: 'Wait for the notification that ends the operation',
  },
  ERROR_VMCOMPUTE_TOO_MANY_NOTIFICATIONS: { meaning: 'Notifications came faster than they were taken' },
  HCS_E_TERMINATED_DURING_START: {
    meaning: 'The virtual machine or container exited unexpectedly while starting',
    advice:
      'Look at the log of the guest; often its kernel or its first process is missing or does not fit the machine',
  },
  HCS_E_IMAGE_MISMATCH: {
    meaning: 'The container operating system does not match the host operating system',
    advice: "Take an image of the host's Windows version, or run it with Hyper-V isolation",
  },
  HCS_E_HYPERV_NOT_INSTALLED: {
    meaning: 'The virtual machine could not be started because a required feature is not installed',
    advice:
      'Turn on the Windows feature Hyper-V, and virtualization in the firmware; in a virtual machine, turn on nested virtualization',
  },
  HCS_E_INVALID_STATE: {
    meaning: 'The requested virtual machine or container operation is not valid in the current state',
    advice: 'Ask for the state first; a stopped system cannot be started again, create a new one',
  },
  HCS_E_UNEXPECTED_EXIT: {
    meaning: 'The virtual machine or container exited unexpectedly',
    advice: 'The exit status of the system tells who ended it and why',
  },
  HCS_E_TERMINATED: { meaning: 'The virtual machine or container was forcefully exited' },
  HCS_E_CONNECT_FAILED: {
    meaning: 'A connection could not be established with the container or virtual machine',
    advice: 'See whether the guest has booted and its agent listens',
  },
  HCS_E_CONNECTION_TIMEOUT: {
    meaning:
      'The operation timed out because a response was not received from the virtual machine or container',
    advice: 'See whether the guest has booted; a slow host may need a longer deadline',
  },
  HCS_E_CONNECTION_CLOSED: {
    meaning: 'The connection with the virtual machine or container was closed',
    advice: 'The guest or its agent has ended; look at its log',
  },
  HCS_E_UNKNOWN_MESSAGE: {
    meaning: 'An unknown internal message was received by the virtual machine or container',
    advice: 'The agent in the guest is older than the host; update the guest',
  },
  HCS_E_UNSUPPORTED_PROTOCOL_VERSION: {
    meaning:
      'The virtual machine or container does not support an available version of the communication protocol with the host',
    advice: 'Host and guest must share a protocol version; update the older one',
  },
  HCS_E_INVALID_JSON: {
    meaning: 'The virtual machine or container JSON document is invalid',
    advice: 'Check the document with `checkDocument` of `@hcsshim/schema/hcs` and the build of the host',
  },
  HCS_E_SYSTEM_NOT_FOUND: {
    meaning: 'A virtual machine or container with the specified identifier does not exist',
    advice: 'It may have ended: a system is gone when it stops',
  },
  HCS_E_SYSTEM_ALREADY_EXISTS: {
    meaning: 'A virtual machine or container with the specified identifier already exists',
    advice: 'Choose another identifier, or terminate the system that has it',
  },
  HCS_E_SYSTEM_ALREADY_STOPPED: {
    meaning: 'The virtual machine or container with the specified identifier is not running',
  },
  HCS_E_PROTOCOL_ERROR: {
    meaning:
      'A communication protocol error has occurred between the virtual machine or container and the host',
  },
  HCS_E_INVALID_LAYER: {
    meaning: 'The container image contains a layer with an unrecognized format',
    advice: 'Import the layer again',
  },
  HCS_E_WINDOWS_INSIDER_REQUIRED: {
    meaning: 'The container image needs a Windows Insider build',
    advice: 'Join the Windows Insider Program, or take another image',
  },
  HCS_E_SERVICE_NOT_AVAILABLE: {
    meaning: 'The operation could not be started because a required feature is not installed',
    advice: 'Turn on the Windows features Containers and Hyper-V',
  },
  HCS_E_OPERATION_NOT_STARTED: { meaning: 'The operation has not started' },
  HCS_E_OPERATION_ALREADY_STARTED: {
    meaning: 'The operation is already running',
    advice: 'Take a new operation for each call',
  },
  HCS_E_OPERATION_PENDING: {
    meaning: 'The operation is still running',
    advice: 'Wait for the result of the operation',
  },
  HCS_E_OPERATION_TIMEOUT: {
    meaning: 'The operation did not complete in time',
    advice: 'The operation goes on; wait again, or terminate the system',
  },
  HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET: {
    meaning: 'An event callback has already been registered on this handle',
    advice: 'Use the events of the handle, or open another handle',
  },
  HCS_E_OPERATION_RESULT_ALLOCATION_FAILED: {
    meaning: 'Not enough memory available to return the result of the operation',
  },
  HCS_E_ACCESS_DENIED: {
    meaning:
      'Only administrators and members of the group Hyper-V Administrators may access virtual machines and containers',
    advice: 'Run as administrator, or join the group Hyper-V Administrators and sign in again',
  },
  HCS_E_GUEST_CRITICAL_ERROR: {
    meaning: 'The virtual machine or container reported a critical error and was stopped or restarted',
    advice: 'The crash report of the system tells more',
  },
  HCS_E_PROCESS_INFO_NOT_AVAILABLE: { meaning: 'The process information is not available' },
  HCS_E_SERVICE_DISCONNECT: {
    meaning: 'The host compute system service has disconnected unexpectedly',
    advice: 'See whether the service vmcompute runs, then open the system again',
  },
  HCS_E_PROCESS_ALREADY_STOPPED: { meaning: 'The process has already exited' },
  HCN_E_NETWORK_NOT_FOUND: { meaning: 'The network was not found' },
  HCN_E_ENDPOINT_NOT_FOUND: { meaning: 'The endpoint was not found' },
  HCN_E_LAYER_NOT_FOUND: { meaning: "The network's underlying layer was not found" },
  HCN_E_SWITCH_NOT_FOUND: { meaning: 'The virtual switch was not found' },
  HCN_E_SUBNET_NOT_FOUND: {
    meaning: 'The network does not have a subnet for this endpoint',
    advice: 'Add a subnet to the network that holds the address',
  },
  HCN_E_ADAPTER_NOT_FOUND: { meaning: 'An adapter was not found' },
  HCN_E_PORT_NOT_FOUND: { meaning: 'The switch-port was not found' },
  HCN_E_POLICY_NOT_FOUND: { meaning: 'An expected policy was not found' },
  HCN_E_VFP_PORTSETTING_NOT_FOUND: { meaning: 'A required VFP port setting was not found' },
  HCN_E_INVALID_NETWORK: { meaning: 'The provided network configuration is invalid or missing parameters' },
  HCN_E_INVALID_NETWORK_TYPE: { meaning: 'Invalid network type' },
  HCN_E_INVALID_ENDPOINT: { meaning: 'The provided endpoint configuration is invalid or missing parameters' },
  HCN_E_INVALID_POLICY: { meaning: 'The provided policy configuration is invalid or missing parameters' },
  HCN_E_INVALID_POLICY_TYPE: { meaning: 'Invalid policy type' },
  HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION: {
    meaning: 'This requested operation is invalid for a remote endpoint',
  },
  HCN_E_NETWORK_ALREADY_EXISTS: {
    meaning: 'A network with this name already exists',
    advice: 'Choose another name, or open the network that has it',
  },
  HCN_E_LAYER_ALREADY_EXISTS: { meaning: 'A network with this name already exists' },
  HCN_E_POLICY_ALREADY_EXISTS: { meaning: 'Policy information already exists on this object' },
  HCN_E_PORT_ALREADY_EXISTS: {
    meaning: 'The specified port already exists',
    advice: 'Choose another port, or remove the mapping that has it',
  },
  HCN_E_ENDPOINT_ALREADY_ATTACHED: {
    meaning: 'This endpoint is already attached to the switch',
    advice: 'Detach the endpoint first',
  },
  HCN_E_REQUEST_UNSUPPORTED: { meaning: 'The specified request is unsupported' },
  HCN_E_MAPPING_NOT_SUPPORTED: { meaning: 'Port mapping is not supported on the given network' },
  HCN_E_DEGRADED_OPERATION: { meaning: 'There was an operation attempted on a degraded object' },
  HCN_E_SHARED_SWITCH_MODIFICATION: {
    meaning: 'Cannot modify a switch shared by multiple networks',
    advice: 'Remove the other networks of the switch first, or take another switch',
  },
  HCN_E_GUID_CONVERSION_FAILURE: { meaning: 'Failed to interpret a parameter as a GUID' },
  HCN_E_REGKEY_FAILURE: { meaning: 'Failed to process registry key' },
  HCN_E_INVALID_JSON: {
    meaning: 'Invalid JSON document string',
    advice: 'Check the document with `checkDocument` of `@hcsshim/schema/hcn`',
  },
  HCN_E_INVALID_JSON_REFERENCE: { meaning: 'The reference is invalid in the JSON document' },
  HCN_E_ENDPOINT_SHARING_DISABLED: { meaning: 'Endpoint sharing is disabled' },
  HCN_E_INVALID_IP: { meaning: 'IP address is either invalid or not part of any configured subnet(s)' },
  HCN_E_SWITCH_EXTENSION_NOT_FOUND: {
    meaning: 'The specified switch extension does not exist on this switch',
  },
  HCN_E_MANAGER_STOPPED: {
    meaning: 'Operation cannot be performed while service is stopping',
    advice: 'Wait until the service hns runs again',
  },
  GCN_E_MODULE_NOT_FOUND: { meaning: 'Operation cannot be performed while service module not found' },
  GCN_E_NO_REQUEST_HANDLERS: { meaning: 'Request Handlers not present to handle the JSON request' },
  GCN_E_REQUEST_UNSUPPORTED: { meaning: 'The specified request is unsupported' },
  GCN_E_RUNTIMEKEYS_FAILED: { meaning: 'Add runtime keys to container failed' },
  GCN_E_NETADAPTER_TIMEOUT: {
    meaning: 'Timeout while waiting for network adapter with the given instance id',
  },
  GCN_E_NETADAPTER_NOT_FOUND: { meaning: 'Network adapter not found for the given instance id' },
  GCN_E_NETCOMPARTMENT_NOT_FOUND: { meaning: 'Network compartment not found for the given id' },
  GCN_E_NETINTERFACE_NOT_FOUND: { meaning: 'Network interface not found for the given id' },
  GCN_E_DEFAULTNAMESPACE_EXISTS: { meaning: 'Default Namespace already exists' },
  HCN_E_ICS_DISABLED: {
    meaning: 'Internet Connection Sharing service (SharedAccess) is disabled and cannot be started',
    advice: 'Enable the service SharedAccess',
  },
  HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS: {
    meaning: 'This requested operation is invalid as endpoint is already part of a network namespace',
    advice: 'Remove the endpoint from its namespace first',
  },
  HCN_E_ENTITY_HAS_REFERENCES: {
    meaning: 'The specified entity cannot be removed while it still has references',
    advice: 'Remove what refers to it first',
  },
  HCN_E_INVALID_INTERNAL_PORT: { meaning: 'The internal port must exist and cannot be zero' },
  HCN_E_NAMESPACE_ATTACH_FAILED: { meaning: 'The requested operation for attach namespace failed' },
  HCN_E_ADDR_INVALID_OR_RESERVED: { meaning: 'An address provided is invalid or reserved' },
  HCN_E_INVALID_PREFIX: { meaning: 'The prefix provided is invalid' },
  HCN_E_OBJECT_USED_AFTER_UNLOAD: { meaning: 'A call was performed against an object that was torn down' },
  HCN_E_INVALID_SUBNET: { meaning: 'The provided subnet configuration is invalid or missing parameters' },
  HCN_E_INVALID_IP_SUBNET: {
    meaning: 'The provided IP subnet configuration is invalid or missing parameters',
  },
  HCN_E_ENDPOINT_NOT_ATTACHED: {
    meaning: 'The endpoint must be attached to complete the operation',
    advice: 'Attach the endpoint first',
  },
  HCN_E_ENDPOINT_NOT_LOCAL: { meaning: 'The endpoint must be local to complete the operation' },
  HCN_INTERFACEPARAMETERS_ALREADY_APPLIED: {
    meaning: 'Cannot apply more than one InterfaceParameters policy',
  },
  HCN_E_VFP_NOT_ALLOWED: {
    meaning: 'A network of this type can not be created because VFP is not available',
  },
};
