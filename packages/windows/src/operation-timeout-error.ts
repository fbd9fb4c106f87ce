/** An operation that the Host Compute Service has not completed in time. */
export class OperationTimeoutError extends Error {
  override readonly name = 'OperationTimeoutError';
  /** HCS_E_OPERATION_TIMEOUT. */
  readonly hresult = 0x80370118;
  /** How long it was waited for, in milliseconds. */
  readonly timeout: number;

  /**
   * @param action What could not be done and to what, to follow "Cannot".
   * @param why What kept it, where that is known.
   */
  constructor(
    action: string,
    timeout: number,
    why = `the Host Compute Service has not answered within ${timeout} ms`,
  ) {
    super(`Cannot ${action}: ${why}`);
    this.timeout = timeout;
  }
}
