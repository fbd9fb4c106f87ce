import {
  describeHresult,
  type GuestErrorRecord,
  type GuestResponseBase,
  HcsError,
  hresultName,
} from '@hcsshim/schema';

/** The guest's own account of a request that failed: the `cause` of the error that the caller gets. */
export class GuestFailure extends Error {
  override readonly name = 'GuestFailure';
  /** HRESULT as an unsigned number, in the guest's spelling. */
  readonly result: number;
  /** Where it arose, the outermost last. */
  readonly records: readonly GuestErrorRecord[];

  constructor(response: GuestResponseBase) {
    super(response.ErrorMessage || `The guest answered ${describeHresult(response.Result)}`);
    this.result = response.Result >>> 0;
    this.records = response.ErrorRecords ?? [];
  }
}

/** The error of a response whose `Result` is not 0. A result without a known name is E_FAIL. */
export function guestError(action: string, response: GuestResponseBase): HcsError {
  const code = hresultName(response.Result);
  const described = describeHresult(response.Result);
  // A guest of ours ends its messages with the result's name, which the error adds again.
  const message = (response.ErrorMessage ?? '').replace(/, \w+ \(0x[0-9A-F]{8}\)$/, '');
  const problem = code === undefined ? [message, described].filter(Boolean).join(', ') : message;
  return new HcsError({
    action,
    problem: `guest RPC failure: ${problem || described}`,
    code: code ?? 'E_FAIL',
    cause: new GuestFailure(response),
  });
}
