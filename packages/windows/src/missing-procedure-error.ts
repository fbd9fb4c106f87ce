import { windowsBuild } from './windows-build.ts';

export interface MissingProcedure {
  dll: string;
  procedure: string;
  /** First build of Windows that has it. */
  build: number;
  /** Whether the whole DLL is missing, or only the procedure. */
  missing: 'dll' | 'procedure';
  cause?: unknown;
}

/** A DLL, or a procedure in it, that this machine does not have. `code` is `ERR_MISSING_PROCEDURE`. */
export class MissingProcedureError extends Error {
  override readonly name = 'MissingProcedureError';
  readonly code = 'ERR_MISSING_PROCEDURE';
  readonly dll: string;
  readonly procedure: string;
  /** First build of Windows that has it. */
  readonly neededBuild: number;

  constructor({ dll, procedure, build, missing, cause }: MissingProcedure) {
    super(
      `Cannot call "${procedure}" of "${dll}": ${reason(missing, build)}`,
      cause === undefined ? undefined : { cause },
    );
    this.dll = dll;
    this.procedure = procedure;
    this.neededBuild = build;
  }
}

function reason(missing: 'dll' | 'procedure', build: number): string {
  if (process.platform !== 'win32')
    return `this is ${process.platform}, it needs Windows build ${build} or newer`;
  const here = windowsBuild();
  const what = missing === 'dll' ? 'the DLL cannot be loaded' : 'the DLL has no such procedure';
  if (here !== undefined && here >= build) {
    return `${what}, although Windows build ${here} should have it, turn on the Windows feature that it belongs to`;
  }
  return `${what}, it needs Windows build ${build} or newer and this is build ${here ?? 'unknown'}`;
}
