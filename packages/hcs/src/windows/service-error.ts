import { describeHresult, HcsError, type HResultName, hresultName } from '@hcsshim/schema';
import type { ResultError } from '@hcsshim/schema/hcs';
import { resultMeanings } from '@hcsshim/schema/hresults';
import { DllCallError, MissingProcedureError, OperationTimeoutError } from '@hcsshim/windows';

/**
 * What a call into `computecore.dll` threw, as an error of the port: the code by name, the service's own words
 * where it gave any, otherwise what the code means. A code without a name becomes E_FAIL, with its number in
 * the words. An HcsError keeps its code and words, and gets this action.
 *
 * @param action Begins with "Cannot".
 */
export function serviceError(action: string, error: unknown): HcsError {
  if (error instanceof HcsError) {
    return error.action === action
      ? error
      : new HcsError({ action, problem: error.problem, code: error.code, cause: error });
  }
  const told = (code: HResultName, problem: string): HcsError =>
    new HcsError({ action, problem, code, cause: error });
  if (error instanceof DllCallError) {
    const code = hresultName(error.hresult);
    const words = wordsOf(error.document);
    if (code !== undefined) return told(code, words ?? lowerFirst(resultMeanings[code].meaning));
    const number = `the Host Compute Service answered with ${describeHresult(error.hresult)}, which has no name here`;
    return told('E_FAIL', words === undefined ? number : `${words}; ${number}`);
  }
  if (error instanceof OperationTimeoutError)
    return told('HCS_E_OPERATION_TIMEOUT', `no answer within ${error.timeout / 1000} s`);
  if (error instanceof MissingProcedureError) return told('ERROR_PROC_NOT_FOUND', lowerFirst(error.message));
  // A value that no call takes, such as a string with a NUL.
  if (error instanceof TypeError) return told('E_INVALIDARG', lowerFirst(error.message));
  return told('E_UNEXPECTED', error instanceof Error ? lowerFirst(error.message) : String(error));
}

/** The words of an error document (`ResultError`), undefined for one that has none or cannot be read. */
function wordsOf(document: string | null): string | undefined {
  const { ErrorMessage, ErrorEvents } = parse(document);
  const events = Array.isArray(ErrorEvents) ? ErrorEvents : [];
  const words = [ErrorMessage, ...events.map((event) => event?.Message)]
    .filter((text): text is string => typeof text === 'string')
    .map((text) => text.trim().replace(/\.$/, ''))
    .filter((text) => text !== '');
  // The first event often repeats the message.
  return words.length === 0 ? undefined : [...new Set(words)].join('; ');
}

function parse(document: string | null): ResultError {
  try {
    return (JSON.parse(document ?? '{}') as ResultError | null) ?? {};
  } catch {
    return {};
  }
}

/** To follow a colon; abbreviations stay as they are. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z]|^A /.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
