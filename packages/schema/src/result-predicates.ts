import { HcsError, type HResultName } from './hresult.ts';

/**
 * Questions about an error that callers decide by. Each looks at the error, at its causes and at the errors of
 * an `AggregateError`. The README has the table from upstream's `Is…` functions and `Err…` values to these.
 */

/**
 * A system, process, network, endpoint or other object does not exist. As upstream's, it is true for
 * ERROR_NOT_FOUND too, which also says that a process has exited already: see {@link isAlreadyStopped}.
 */
export function isNotFound(error: unknown): boolean {
  return hasResult(
    error,
    'HCS_E_SYSTEM_NOT_FOUND',
    'ERROR_NOT_FOUND',
    'HCN_E_NETWORK_NOT_FOUND',
    'HCN_E_ENDPOINT_NOT_FOUND',
  );
}

/** A handle was used after it was closed. */
export function isAlreadyClosed(error: unknown): boolean {
  return hasResult(error, 'ERROR_INVALID_HANDLE');
}

/** A system or process has stopped, or, with ERROR_NOT_FOUND, is gone. */
export function isAlreadyStopped(error: unknown): boolean {
  return hasResult(error, 'HCS_E_SYSTEM_ALREADY_STOPPED', 'HCS_E_PROCESS_ALREADY_STOPPED', 'ERROR_NOT_FOUND');
}

/** The operation goes on in the background. */
export function isPending(error: unknown): boolean {
  return hasResult(error, 'ERROR_VMCOMPUTE_OPERATION_PENDING', 'HCS_E_OPERATION_PENDING');
}

/** A deadline has passed: one of the service, of a socket, or of an `AbortSignal.timeout`. */
export function isTimeout(error: unknown): boolean {
  return some(
    error,
    (cause) =>
      (cause instanceof HcsError && timeouts.has(cause.code)) ||
      (cause instanceof Error &&
        (cause.name === 'TimeoutError' || ('code' in cause && cause.code === 'ETIMEDOUT'))),
  );
}

const timeouts: ReadonlySet<HResultName> = new Set<HResultName>([
  'HCS_E_OPERATION_TIMEOUT',
  'HCS_E_CONNECTION_TIMEOUT',
  'GCN_E_NETADAPTER_TIMEOUT',
  'ERROR_TIMEOUT',
  'WAIT_TIMEOUT',
]);

/**
 * The platform does not know or support the request. As upstream's, it is true for a document that was refused,
 * since that is how an older platform answers a newer document.
 */
export function isNotSupported(error: unknown): boolean {
  return hasResult(
    error,
    'ERROR_NOT_SUPPORTED',
    'ERROR_INVALID_DATA',
    'HCS_E_INVALID_JSON',
    'HCS_E_UNKNOWN_MESSAGE',
  );
}

/** The system or process is in a state in which this cannot be done. */
export function isInvalidState(error: unknown): boolean {
  return hasResult(error, 'HCS_E_INVALID_STATE');
}

/** The caller lacks the rights. */
export function isAccessDenied(error: unknown): boolean {
  return hasResult(error, 'E_ACCESSDENIED', 'HCS_E_ACCESS_DENIED');
}

/** The port of a network is taken. */
export function isPortAlreadyExists(error: unknown): boolean {
  return hasResult(error, 'HCN_E_PORT_ALREADY_EXISTS');
}

/** The service does not implement the call. */
export function isNotImplemented(error: unknown): boolean {
  return hasResult(error, 'E_NOTIMPL');
}

/** The error, or what caused it, has one of `codes`. */
export function hasResult(error: unknown, ...codes: HResultName[]): boolean {
  return some(error, (cause) => cause instanceof HcsError && codes.includes(cause.code));
}

/** Asks an error and all that is behind it, each once: causes may form a circle. */
function some(error: unknown, holds: (cause: unknown) => boolean): boolean {
  const seen = new Set<unknown>();
  const waiting = [error];
  while (waiting.length > 0) {
    const cause = waiting.pop();
    if (!(cause instanceof Error) || seen.has(cause)) continue;
    if (holds(cause)) return true;
    seen.add(cause);
    waiting.push(cause.cause);
    if (cause instanceof AggregateError) waiting.push(...cause.errors);
  }
  return false;
}
