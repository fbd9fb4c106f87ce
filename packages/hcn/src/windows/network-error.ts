import { describeHresult, HcsError, HResult, type HResultName, hresultName } from '@hcsshim/schema';
import { resultMeanings } from '@hcsshim/schema/hresults';
import { DllCallError, MissingProcedureError } from '@hcsshim/windows';

/** What the Host Network Service says of a failure: `{"Success":false,"Error":"…","ErrorCode":…}`. */
export interface ErrorRecord {
  success?: boolean;
  words?: string;
  /** HRESULT, unsigned. */
  code?: number;
}

/** Longest that the service's words may be in a message, in characters. */
const maxWords = 1024;

/** Reads an error record. One that is no JSON, or has other types, says nothing. */
export function readErrorRecord(text: string | null): ErrorRecord {
  const value = parse(text);
  const { Success, Error: words, ErrorCode } = (value ?? {}) as Record<string, unknown>;
  const shown = typeof words === 'string' ? words.trim().replace(/\.$/, '').slice(0, maxWords) : '';
  return {
    ...(typeof Success === 'boolean' ? { success: Success } : {}),
    ...(shown === '' ? {} : { words: shown }),
    ...(isCode(ErrorCode) ? { code: ErrorCode >>> 0 } : {}),
  };
}

/** An error of the service by its code and its own words. A code without a name is E_FAIL, with its number. */
export function serviceFailure(
  action: string,
  code: number | undefined,
  words: string | undefined,
  cause?: unknown,
): HcsError {
  const told = (name: HResultName, problem: string): HcsError =>
    new HcsError({ action, problem, code: name, ...(cause === undefined ? {} : { cause }) });
  if (code === undefined) return told('E_FAIL', words ?? 'the Host Network Service does not say why');
  const name = hresultName(code);
  if (name !== undefined) return told(name, words ?? lowerFirst(resultMeanings[name].meaning));
  const number = `the Host Network Service answered with ${describeHresult(code)}, which has no name here`;
  return told('E_FAIL', words === undefined ? number : `${words}; ${number}`);
}

/**
 * What a call of this package threw, as an error of the port.
 *
 * @param action Begins with "Cannot".
 */
export function networkError(action: string, error: unknown): HcsError {
  if (error instanceof HcsError) {
    return error.action === action
      ? error
      : new HcsError({ action, problem: error.problem, code: error.code, cause: error });
  }
  if (error instanceof DllCallError) {
    const { words, code } = readErrorRecord(error.document);
    // The record is nearer to the cause than a general code.
    const isGeneral = error.hresult === HResult.E_FAIL && code !== undefined;
    return serviceFailure(action, isGeneral ? code : error.hresult, words, error);
  }
  const told = (code: HResultName, cause: Error): HcsError =>
    new HcsError({ action, problem: lowerFirst(cause.message), code, cause });
  if (error instanceof MissingProcedureError) return told('ERROR_PROC_NOT_FOUND', error);
  // A value that no call takes: no GUID, or a string with a NUL.
  if (error instanceof TypeError) return told('E_INVALIDARG', error);
  return told('E_UNEXPECTED', error instanceof Error ? error : new Error(String(error)));
}

/** Of a failure, signed or unsigned. */
function isCode(value: unknown): value is number {
  return Number.isInteger(value) && value !== 0 && Math.abs(value as number) <= 0xffffffff;
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}

/** To follow a colon; abbreviations stay as they are. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z]|^A /.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
