import { type ErrorCode, errorCode, StatusCode } from './status.ts';

/** A `google.protobuf.Any` that travels with an error. */
export interface ErrorDetail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export interface TtrpcErrorOptions {
  cause?: unknown;
  /** @default none */
  details?: readonly ErrorDetail[];
  /** The number on the wire, where a peer sent one that gRPC does not name. @default the number of `code` */
  status?: number;
}

/**
 * A call that failed. Thrown by a handler it reaches the client with the same code, message and details;
 * the cause stays where it is.
 */
export class TtrpcError extends Error {
  /** Stable name: `NotFound`, `Unimplemented` … */
  readonly code: ErrorCode;
  /** Number of the code on the wire. */
  readonly status: number;
  readonly details: readonly ErrorDetail[];

  constructor(code: ErrorCode, message: string, options: TtrpcErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'TtrpcError';
    this.code = code;
    this.status = options.status ?? StatusCode[code];
    this.details = options.details ?? [];
  }

  /** The error itself if it is a TtrpcError, else one with the code `Unknown`, its message, and it as cause. */
  static from(error: unknown): TtrpcError {
    if (error instanceof TtrpcError) return error;
    return new TtrpcError('Unknown', error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }

  /** The error that a peer reported with a status number. */
  static fromStatus(status: number, message: string, details?: readonly ErrorDetail[]): TtrpcError {
    return new TtrpcError(errorCode(status), message, { status, ...(details && { details }) });
  }

  /**
   * The error of what was given up, `Cannot call "a.B/C"`: `DeadlineExceeded` for the reason of `AbortSignal.timeout()`,
   * `Canceled` for any other. A reason that is a TtrpcError stands for itself.
   */
  static fromAbort(reason: unknown, action: string): TtrpcError {
    if (reason instanceof TtrpcError) return reason;
    if (reason instanceof Error && reason.name === 'TimeoutError')
      return new TtrpcError('DeadlineExceeded', `${action}: its time is up`, { cause: reason });
    return new TtrpcError('Canceled', `${action}: it was given up`, { cause: reason });
  }
}
