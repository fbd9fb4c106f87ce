import { type HResultName, isHcsError } from '@hcsshim/schema';
import { type ErrorCode, TtrpcError } from '@hcsshim/ttrpc';

/** What containerd understands of a result code. All others are `Unknown`. */
const codes: Partial<Record<HResultName, ErrorCode>> = {
  E_NOTIMPL: 'Unimplemented',
  ERROR_NOT_SUPPORTED: 'Unimplemented',
  E_INVALIDARG: 'InvalidArgument',
  ERROR_INVALID_DATA: 'InvalidArgument',
  HCS_E_INVALID_JSON: 'InvalidArgument',
  E_ABORT: 'Canceled',
  ERROR_CANCELLED: 'Canceled',
  E_ACCESSDENIED: 'PermissionDenied',
  HCS_E_ACCESS_DENIED: 'PermissionDenied',
  ERROR_NOT_FOUND: 'NotFound',
  HCS_E_SYSTEM_NOT_FOUND: 'NotFound',
  HCS_E_SYSTEM_ALREADY_STOPPED: 'NotFound',
  HCS_E_PROCESS_ALREADY_STOPPED: 'NotFound',
  ERROR_ALREADY_EXISTS: 'AlreadyExists',
  HCS_E_SYSTEM_ALREADY_EXISTS: 'AlreadyExists',
  HCS_E_INVALID_STATE: 'FailedPrecondition',
  HCS_E_OPERATION_TIMEOUT: 'DeadlineExceeded',
  HCS_E_CONNECTION_TIMEOUT: 'DeadlineExceeded',
};

/** Any error as one that travels to containerd, with its message in words and the cause kept here. */
export function taskError(error: unknown): TtrpcError {
  if (error instanceof TtrpcError) return error;
  if (isHcsError(error))
    return new TtrpcError(codes[error.code] ?? 'Unknown', error.message, { cause: error });
  return TtrpcError.from(error);
}
