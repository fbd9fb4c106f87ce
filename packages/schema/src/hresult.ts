/**
 * Result codes of the Host Compute Service and the Win32 codes it passes on, by name.
 * Values: Microsoft's `winerror.h` and `HcsErrors` (see learn.microsoft.com, "HCS HRESULTs").
 */
export const HResult = {
  S_OK: 0x00000000,
  E_NOTIMPL: 0x80004001,
  E_ABORT: 0x80004004,
  E_FAIL: 0x80004005,
  E_ACCESSDENIED: 0x80070005,
  ERROR_INVALID_HANDLE: 0x80070006,
  E_INVALIDARG: 0x80070057,
  ERROR_FILE_NOT_FOUND: 0x80070002,
  ERROR_INVALID_DATA: 0x8007000d,
  ERROR_NOT_SUPPORTED: 0x80070032,
  ERROR_ALREADY_EXISTS: 0x800700b7,
  ERROR_NOT_FOUND: 0x80070490,
  ERROR_CANCELLED: 0x800704c7,
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
  HCS_E_ACCESS_DENIED: 0x8037011b,
  HCS_E_GUEST_CRITICAL_ERROR: 0x8037011c,
  HCS_E_PROCESS_ALREADY_STOPPED: 0x8037011f,
} as const;

export type HResultName = keyof typeof HResult;

const names = new Map<number, HResultName>(
  Object.entries(HResult).map(([name, value]) => [value, name as HResultName]),
);

/**
 * The name of a result code, or undefined for one that is not known. HCS codes come in two spellings,
 * 0x8037… (HRESULT) and 0xC037… (NTSTATUS); both have the same name.
 */
export function hresultName(code: number): HResultName | undefined {
  const unsigned = code >>> 0;
  const spelling = unsigned >>> 16 === 0xc037 ? 0x80370000 + (unsigned & 0xffff) : unsigned;
  return names.get(spelling);
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
