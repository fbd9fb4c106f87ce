/** Whose code a failed call gave. */
export type StatusKind = 'HRESULT' | 'NTSTATUS' | 'WIN32_ERROR' | 'CONFIGRET';

/** Facility of Win32 codes in an HRESULT (`winerror.h`). */
const facilityWin32 = 0x80070000;
/** Marks an NTSTATUS in an HRESULT (`HRESULT_FROM_NT`). */
const facilityNt = 0x10000000;

export interface DllCallFailure {
  dll: string;
  procedure: string;
  kind: StatusKind;
  status: number;
  /** Error document that came with the failure. */
  document?: string | null;
}

/** A call into a DLL that failed, with the code it gave. */
export class DllCallError extends Error {
  override readonly name = 'DllCallError';
  readonly dll: string;
  readonly procedure: string;
  readonly kind: StatusKind;
  /** The code as it came, unsigned. */
  readonly status: number;
  /** The code as an HRESULT, unsigned. A CONFIGRET, which has no like, is E_FAIL (0x80004005). */
  readonly hresult: number;
  /** Error document of the Host Compute Service or Network, JSON as it came; may tell of users' data. */
  readonly document: string | null;

  constructor({ dll, procedure, kind, status, document = null }: DllCallFailure) {
    super(`Cannot complete "${procedure}" of "${dll}": it failed with ${kind} ${hex(status)}`);
    this.dll = dll;
    this.procedure = procedure;
    this.kind = kind;
    this.status = status >>> 0;
    this.hresult = toHresult(kind, status);
    this.document = document;
  }
}

function toHresult(kind: StatusKind, status: number): number {
  if (kind === 'HRESULT') return status >>> 0;
  if (kind === 'NTSTATUS') return (status | facilityNt) >>> 0;
  if (kind === 'CONFIGRET') return 0x80004005;
  return status <= 0xffff ? (status | facilityWin32) >>> 0 : status >>> 0;
}

function hex(code: number): string {
  return `0x${(code >>> 0).toString(16).toUpperCase().padStart(8, '0')}`;
}
