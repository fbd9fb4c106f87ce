const problems = {
  ERR_JOB_CLOSED: 'it has been closed',
  ERR_JOB_NOT_REGISTERED: 'it was created or opened without notifications',
  ERR_JOB_NOT_SILO: 'it is not a silo, promote it to one first',
} as const;

export type JobObjectErrorCode = keyof typeof problems;

/** What a job object cannot do in the state that it is in. */
export class JobObjectError extends Error {
  override readonly name = 'JobObjectError';
  readonly code: JobObjectErrorCode;

  /** @param action What was being done and to which job, to follow "Cannot". */
  constructor(code: JobObjectErrorCode, action: string) {
    super(`Cannot ${action}: ${problems[code]}`);
    this.code = code;
  }
}
