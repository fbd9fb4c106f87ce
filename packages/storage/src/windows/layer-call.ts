import { win32 } from 'node:path';
import { describeHresult, HcsError, type HResultName, hresultName } from '@hcsshim/schema';
import { resultMeanings } from '@hcsshim/schema/hresults';
import { DllCallError, MissingProcedureError, WindowsError } from '@hcsshim/windows';

export interface LayerCallOptions {
  /**
   * Gives the call up. The DLL cannot be stopped within a call: it may go on with the one it is in, but nothing is begun
   * after that.
   */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the call is given up in the same way, with HCS_E_OPERATION_TIMEOUT.
   * @default 240000, which hcsshim gives to one step of a system's life (internal/timeout)
   */
  timeout?: number | undefined;
}

const defaultTimeout = 240_000;

/** For a call that copies a layer of Windows, which takes minutes. */
export const copyTimeout = 30 * 60_000;

/**
 * Work on a layer or disk, of one call of a DLL or more, with one deadline. Rejects with an HcsError that names
 * `action`, and with the signal's reason when that ended it.
 *
 * @param action What is being done and to what, to follow "Cannot".
 */
export async function layerCall<T>(
  action: string,
  { signal, timeout = defaultTimeout }: LayerCallOptions,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const abort = (reason: unknown): void => {
    controller.abort(reason);
    aborted.reject(reason);
  };
  const timer = setTimeout(() => abort(noAnswer(action, timeout)), timeout);
  const onAbort = (): void => abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), aborted.promise]);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : layerError(`Cannot ${action}`, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * Gives `path` when it is an absolute path of Windows: of a drive, a share, or one that begins with `\\?\`. Throws
 * E_INVALIDARG otherwise: a DLL would take it from whatever directory its service is in.
 *
 * @param what The thing that is there, in a message: `layer`.
 */
export function absolutePath(path: string, what: string): string {
  const isPath = typeof path === 'string' && !path.includes('\0');
  if (isPath && win32.isAbsolute(path) && /^([a-z]:[\\/]|[\\/]{2}[^\\/])/i.test(path)) return path;
  throw new HcsError({
    action: `Cannot use ${isPath ? `"${path}"` : 'a value'} as the path of a ${what}`,
    problem: 'it is no absolute path of Windows, write it as C:\\folder\\name',
    code: 'E_INVALIDARG',
  });
}

function noAnswer(action: string, timeout: number): HcsError {
  return new HcsError({
    action: `Cannot ${action}`,
    problem: `no answer within ${timeout / 1000} s`,
    code: 'HCS_E_OPERATION_TIMEOUT',
  });
}

function layerError(action: string, error: unknown): HcsError {
  const told = (code: HResultName, problem: string): HcsError =>
    new HcsError({ action, problem, code, cause: error });
  if (error instanceof HcsError) {
    return error.action === action
      ? error
      : told(error.code, `${lowerFirst(error.action)}: ${error.problem}`);
  }
  if (error instanceof DllCallError) {
    const code = codesByStatus.get(error.status) ?? hresultName(error.hresult);
    if (code !== undefined) return told(code, `${error.procedure} failed, ${meaningOf(code)}`);
    return told(
      'E_FAIL',
      `${error.procedure} failed with ${describeHresult(error.hresult)}, which has no name here`,
    );
  }
  if (error instanceof MissingProcedureError) return told('ERROR_PROC_NOT_FOUND', lowerFirst(error.message));
  if (error instanceof WindowsError)
    return told(hresultName(error.hresult) ?? 'E_FAIL', lowerFirst(error.message));
  // A value that no call takes, such as a string with a NUL.
  if (error instanceof TypeError) return told('E_INVALIDARG', lowerFirst(error.message));
  const errno = (error as { code?: unknown } | null)?.code;
  const code = (typeof errno === 'string' && codesByErrno[errno]) || 'E_UNEXPECTED';
  return told(code, error instanceof Error ? lowerFirst(error.message) : String(error));
}

/** Of Node's own errors, about files. */
const codesByErrno: Record<string, HResultName> = {
  ENOENT: 'ERROR_FILE_NOT_FOUND',
  EEXIST: 'ERROR_ALREADY_EXISTS',
  EACCES: 'E_ACCESSDENIED',
  EPERM: 'E_ACCESSDENIED',
  EBUSY: 'ERROR_SHARING_VIOLATION',
};

/** What native calls say about files (ntstatus.h), by the names that callers know from other calls. */
const codesByStatus = new Map<number, HResultName>([
  [0xc000000d, 'E_INVALIDARG'], // STATUS_INVALID_PARAMETER
  [0xc0000022, 'E_ACCESSDENIED'], // STATUS_ACCESS_DENIED
  [0xc0000033, 'E_INVALIDARG'], // STATUS_OBJECT_NAME_INVALID
  [0xc0000034, 'ERROR_FILE_NOT_FOUND'], // STATUS_OBJECT_NAME_NOT_FOUND
  [0xc0000035, 'ERROR_ALREADY_EXISTS'], // STATUS_OBJECT_NAME_COLLISION
  [0xc000003a, 'ERROR_PATH_NOT_FOUND'], // STATUS_OBJECT_PATH_NOT_FOUND
  [0xc0000043, 'ERROR_SHARING_VIOLATION'], // STATUS_SHARING_VIOLATION
  [0xc0000056, 'E_ACCESSDENIED'], // STATUS_DELETE_PENDING
  [0xc00000ba, 'E_ACCESSDENIED'], // STATUS_FILE_IS_A_DIRECTORY
  [0xc0000101, 'ERROR_DIR_NOT_EMPTY'], // STATUS_DIRECTORY_NOT_EMPTY
  [0xc0000103, 'ERROR_DIRECTORY'], // STATUS_NOT_A_DIRECTORY
  [0xc0000121, 'E_ACCESSDENIED'], // STATUS_CANNOT_DELETE
]);

function meaningOf(code: HResultName): string {
  const { meaning, advice } = resultMeanings[code];
  return lowerFirst(advice === undefined ? meaning : `${meaning}; ${lowerFirst(advice)}`);
}

/** To follow a colon; abbreviations stay as they are. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z]|^A /.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
