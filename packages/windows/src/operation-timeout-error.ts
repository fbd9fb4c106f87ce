/** An operation that the Host Compute Service has not completed in time. */
export class OperationTimeoutError extends Error {
  override readonly name = 'OperationTimeoutError';
  /** HCS_E_OPERATION_TIMEOUT. */
  readonly hresult = 0x80370118;
  /** How long it was waited for, in milliseconds. */
  readonly timeout: number;

  /** @param action What could not be done and to what, to follow "Cannot". */
  constructor(action: string, timeout: number) {
    super(`Cannot ${action}: the Host Compute Service has not answered within ${timeout} ms`);
    this.timeout = timeout;
  }
}
