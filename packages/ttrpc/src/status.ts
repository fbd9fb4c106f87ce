/**
 * The status codes that TTRPC shares with gRPC, by the names Go's `codes` package gives them.
 * Source: the gRPC specification, `doc/statuscodes.md`.
 */
export const StatusCode = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;

export type StatusCodeName = keyof typeof StatusCode;

/** What a call can fail with: every code but OK. */
export type ErrorCode = Exclude<StatusCodeName, 'OK'>;

const names = new Map<number, ErrorCode>(
  Object.entries(StatusCode)
    .filter(([name]) => name !== 'OK')
    .map(([name, status]) => [status, name as ErrorCode]),
);

/** The name of an error's status number; a number that gRPC does not know is `Unknown`. */
export function errorCode(status: number): ErrorCode {
  return names.get(status) ?? 'Unknown';
}
