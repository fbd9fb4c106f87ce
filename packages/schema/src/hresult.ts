/**
 * Result codes of the Host Compute Service, of the host and guest network services, and the codes of Windows
 * that they pass on, by name. What they mean is told by the door `@hcsshim/schema/hresults`.
 * Values: Microsoft's `winerror.h` and `ntstatus.h`, and the pages "HCS HRESULTs" and "HCN HRESULTs" of
 * learn.microsoft.com.
 */
export const HResult = {
  S_OK: 0x00000000,

  E_NOTIMPL: 0x80004001,
  E_NOINTERFACE: 0x80004002,
  E_POINTER: 0x80004003,
  E_ABORT: 0x80004004,
  E_FAIL: 0x80004005,
  E_UNEXPECTED: 0x8000ffff,

  // Win32 codes: 0x8007 and the code.
  ERROR_FILE_NOT_FOUND: 0x80070002,
  ERROR_PATH_NOT_FOUND: 0x80070003,
  E_ACCESSDENIED: 0x80070005,
  ERROR_INVALID_HANDLE: 0x80070006,
  ERROR_INVALID_DATA: 0x8007000d,
  E_OUTOFMEMORY: 0x8007000e,
  ERROR_NO_MORE_FILES: 0x80070012,
  ERROR_NOT_READY: 0x80070015,
  ERROR_GEN_FAILURE: 0x8007001f,
  ERROR_SHARING_VIOLATION: 0x80070020,
  ERROR_NOT_SUPPORTED: 0x80070032,
  E_INVALIDARG: 0x80070057,
  ERROR_BROKEN_PIPE: 0x8007006d,
  ERROR_PROC_NOT_FOUND: 0x8007007f,
  ERROR_DIR_NOT_EMPTY: 0x80070091,
  ERROR_ALREADY_EXISTS: 0x800700b7,
  ERROR_NO_DATA: 0x800700e8,
  ERROR_PIPE_NOT_CONNECTED: 0x800700e9,
  ERROR_MORE_DATA: 0x800700ea,
  WAIT_TIMEOUT: 0x80070102,
  ERROR_NO_MORE_ITEMS: 0x80070103,
  ERROR_DIRECTORY: 0x8007010b,
  ERROR_OPERATION_ABORTED: 0x800703e3,
  ERROR_IO_PENDING: 0x800703e5,
  ERROR_SHUTDOWN_IN_PROGRESS: 0x8007045b,
  ERROR_DEVICE_NOT_CONNECTED: 0x8007048f,
  ERROR_NOT_FOUND: 0x80070490,
  ERROR_CANCELLED: 0x800704c7,
  ERROR_PRIVILEGE_NOT_HELD: 0x80070522,
  ERROR_TIMEOUT: 0x800705b4,
  WSAEINVAL: 0x80072726,
  WSAECONNABORTED: 0x80072745,
  WSAECONNRESET: 0x80072746,

  // NTSTATUS codes.
  STATUS_NO_MORE_ENTRIES: 0x8000001a,
  STATUS_INFO_LENGTH_MISMATCH: 0xc0000004,
  STATUS_REPARSE_POINT_ENCOUNTERED: 0xc000050b,

  // Of these two only the NTSTATUS spelling exists.
  ERROR_VMCOMPUTE_OPERATION_PENDING: 0xc0370103,
  ERROR_VMCOMPUTE_TOO_MANY_NOTIFICATIONS: 0xc0370104,

  HCS_E_TERMINATED_DURING_START: 0x80370100,
  HCS_E_IMAGE_MISMATCH: 0x80370101,
  HCS_E_HYPERV_NOT_INSTALLED: 0x80370102,
  HCS_E_INVALID_STATE: 0x80370105,
  HCS_E_UNEXPECTED_EXIT: 0x80370106,
  HCS_E_TERMINATED: 0x80370107,
  HCS_E_CONNECT_FAILED: 0x80370108,
  HCS_E_CONNECTION_TIMEOUT: 0x80370109,
  HCS_E_CONNECTION_CLOSED: 0x8037010a,
  HCS_E_UNKNOWN_MESSAGE: 0x8037010b,
  HCS_E_UNSUPPORTED_PROTOCOL_VERSION: 0x8037010c,
  HCS_E_INVALID_JSON: 0x8037010d,
  HCS_E_SYSTEM_NOT_FOUND: 0x8037010e,
  HCS_E_SYSTEM_ALREADY_EXISTS: 0x8037010f,
  HCS_E_SYSTEM_ALREADY_STOPPED: 0x80370110,
  HCS_E_PROTOCOL_ERROR: 0x80370111,
  HCS_E_INVALID_LAYER: 0x80370112,
  HCS_E_WINDOWS_INSIDER_REQUIRED: 0x80370113,
  HCS_E_SERVICE_NOT_AVAILABLE: 0x80370114,
  HCS_E_OPERATION_NOT_STARTED: 0x80370115,
  HCS_E_OPERATION_ALREADY_STARTED: 0x80370116,
  HCS_E_OPERATION_PENDING: 0x80370117,
  HCS_E_OPERATION_TIMEOUT: 0x80370118,
  HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET: 0x80370119,
  HCS_E_OPERATION_RESULT_ALLOCATION_FAILED: 0x8037011a,
  HCS_E_ACCESS_DENIED: 0x8037011b,
  HCS_E_GUEST_CRITICAL_ERROR: 0x8037011c,
  HCS_E_PROCESS_INFO_NOT_AVAILABLE: 0x8037011d,
  HCS_E_SERVICE_DISCONNECT: 0x8037011e,
  HCS_E_PROCESS_ALREADY_STOPPED: 0x8037011f,

  HCN_E_NETWORK_NOT_FOUND: 0x803b0001,
  HCN_E_ENDPOINT_NOT_FOUND: 0x803b0002,
  HCN_E_LAYER_NOT_FOUND: 0x803b0003,
  HCN_E_SWITCH_NOT_FOUND: 0x803b0004,
  HCN_E_SUBNET_NOT_FOUND: 0x803b0005,
  HCN_E_ADAPTER_NOT_FOUND: 0x803b0006,
  HCN_E_PORT_NOT_FOUND: 0x803b0007,
  HCN_E_POLICY_NOT_FOUND: 0x803b0008,
  HCN_E_VFP_PORTSETTING_NOT_FOUND: 0x803b0009,
  HCN_E_INVALID_NETWORK: 0x803b000a,
  HCN_E_INVALID_NETWORK_TYPE: 0x803b000b,
  HCN_E_INVALID_ENDPOINT: 0x803b000c,
  HCN_E_INVALID_POLICY: 0x803b000d,
  HCN_E_INVALID_POLICY_TYPE: 0x803b000e,
  HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION: 0x803b000f,
  HCN_E_NETWORK_ALREADY_EXISTS: 0x803b0010,
  HCN_E_LAYER_ALREADY_EXISTS: 0x803b0011,
  HCN_E_POLICY_ALREADY_EXISTS: 0x803b0012,
  HCN_E_PORT_ALREADY_EXISTS: 0x803b0013,
  HCN_E_ENDPOINT_ALREADY_ATTACHED: 0x803b0014,
  HCN_E_REQUEST_UNSUPPORTED: 0x803b0015,
  HCN_E_MAPPING_NOT_SUPPORTED: 0x803b0016,
  HCN_E_DEGRADED_OPERATION: 0x803b0017,
  HCN_E_SHARED_SWITCH_MODIFICATION: 0x803b0018,
  HCN_E_GUID_CONVERSION_FAILURE: 0x803b0019,
  HCN_E_REGKEY_FAILURE: 0x803b001a,
  HCN_E_INVALID_JSON: 0x803b001b,
  HCN_E_INVALID_JSON_REFERENCE: 0x803b001c,
  HCN_E_ENDPOINT_SHARING_DISABLED: 0x803b001d,
  HCN_E_INVALID_IP: 0x803b001e,
  HCN_E_SWITCH_EXTENSION_NOT_FOUND: 0x803b001f,
  HCN_E_MANAGER_STOPPED: 0x803b0020,
  GCN_E_MODULE_NOT_FOUND: 0x803b0021,
  GCN_E_NO_REQUEST_HANDLERS: 0x803b0022,
  GCN_E_REQUEST_UNSUPPORTED: 0x803b0023,
  GCN_E_RUNTIMEKEYS_FAILED: 0x803b0024,
  GCN_E_NETADAPTER_TIMEOUT: 0x803b0025,
  GCN_E_NETADAPTER_NOT_FOUND: 0x803b0026,
  GCN_E_NETCOMPARTMENT_NOT_FOUND: 0x803b0027,
  GCN_E_NETINTERFACE_NOT_FOUND: 0x803b0028,
  GCN_E_DEFAULTNAMESPACE_EXISTS: 0x803b0029,
  HCN_E_ICS_DISABLED: 0x803b002a,
  HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS: 0x803b002b,
  HCN_E_ENTITY_HAS_REFERENCES: 0x803b002c,
  HCN_E_INVALID_INTERNAL_PORT: 0x803b002d,
  HCN_E_NAMESPACE_ATTACH_FAILED: 0x803b002e,
  HCN_E_ADDR_INVALID_OR_RESERVED: 0x803b002f,
  HCN_E_INVALID_PREFIX: 0x803b0030,
  HCN_E_OBJECT_USED_AFTER_UNLOAD: 0x803b0031,
  HCN_E_INVALID_SUBNET: 0x803b0032,
  HCN_E_INVALID_IP_SUBNET: 0x803b0033,
  HCN_E_ENDPOINT_NOT_ATTACHED: 0x803b0034,
  HCN_E_ENDPOINT_NOT_LOCAL: 0x803b0035,
  HCN_INTERFACEPARAMETERS_ALREADY_APPLIED: 0x803b0036,
  HCN_E_VFP_NOT_ALLOWED: 0x803b0037,
} as const;

export type HResultName = keyof typeof HResult;

const names = new Map<number, HResultName>(
  Object.entries(HResult).map(([name, value]) => [oneSpelling(value), name as HResultName]),
);

/**
 * HCS codes come in two spellings, 0x8037… (HRESULT) and 0xC037… (NTSTATUS). Any NTSTATUS may also come as
 * the HRESULT that is made of it by setting bit 28.
 */
function oneSpelling(code: number): number {
  const unsigned = code >>> 0;
  const isWrappedStatus = unsigned >>> 28 === 0xd;
  const status = isWrappedStatus ? unsigned - 0x10000000 : unsigned;
  return status >>> 16 === 0xc037 ? 0x80370000 + (status & 0xffff) : status;
}

/** The name of a result code in any spelling, signed or unsigned, or undefined for one that is not known. */
export function hresultName(code: number): HResultName | undefined {
  return names.get(oneSpelling(code));
}

/** The HRESULT of a Win32 code, as `HRESULT_FROM_WIN32`: 0x490 is 0x80070490. An HRESULT stays what it is. */
export function hresultFromWin32(code: number): number {
  const unsigned = code >>> 0;
  return unsigned === 0 || unsigned > 0xffff ? unsigned : 0x80070000 + unsigned;
}

/** `HCS_E_SYSTEM_NOT_FOUND (0x8037010E)`, or the bare number when the code has no known name. */
export function describeHresult(code: number): string {
  const hex = `0x${(code >>> 0).toString(16).toUpperCase().padStart(8, '0')}`;
  const name = hresultName(code);
  return name ? `${name} (${hex})` : hex;
}

export interface HcsErrorOptions {
  /** What was being done, to which object: `Cannot create compute system "x"`. */
  action: string;
  /** What went wrong, and what to do: `a system with this id exists, choose another`. */
  problem: string;
  code: HResultName;
  cause?: unknown;
}

/** An error of the Host Compute Service, the guest, or the engine, with its HRESULT. */
export class HcsError extends Error {
  override readonly name = 'HcsError';
  /** Stable name of the result, for example `HCS_E_SYSTEM_NOT_FOUND`. */
  readonly code: HResultName;
  /** The result as an unsigned 32-bit number. */
  readonly hresult: number;
  /** As handed to the constructor: the two halves of the message. */
  readonly action: string;
  readonly problem: string;

  constructor(options: HcsErrorOptions) {
    const hresult = HResult[options.code];
    super(
      `${options.action}: ${options.problem}, ${describeHresult(hresult)}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = options.code;
    this.action = options.action;
    this.problem = options.problem;
    this.hresult = hresult;
  }
}

/** True when `error` is an {@link HcsError} with one of `codes`. */
export function isHcsError(error: unknown, ...codes: HResultName[]): error is HcsError {
  return error instanceof HcsError && (codes.length === 0 || codes.includes(error.code));
}
