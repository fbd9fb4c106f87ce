import { bind } from './bind.ts';
import { DllCallError } from './dll-call-error.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { ntdll } from './dlls/ntdll.ts';

/** Something on the host that Windows refused, in words. Its `cause` is the DllCallError. `code` is `ERR_WINDOWS`. */
export class WindowsError extends Error {
  override readonly name = 'WindowsError';
  readonly code = 'ERR_WINDOWS';
  /** What was being done and to what, to follow "Cannot". */
  readonly action: string;
  /** The code as it came, unsigned; `kind` of the cause tells whose it is. */
  readonly status: number;
  /** The code as an HRESULT, unsigned. */
  readonly hresult: number;
  override readonly cause: DllCallError;

  constructor(action: string, cause: DllCallError) {
    const { kind, status, procedure } = cause;
    const code = `${kind} 0x${status.toString(16).toUpperCase().padStart(8, '0')}`;
    const words = systemWords(cause);
    super(`Cannot ${action}: ${procedure} failed with ${code}${words && `, ${words}`}`);
    this.action = action;
    this.status = status;
    this.hresult = cause.hresult;
    this.cause = cause;
  }
}

/** Makes calls into DLLs for one action; a failed one is a {@link WindowsError} that names it. */
export function attempt<T>(action: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof DllCallError ? new WindowsError(action, error) : error;
  }
}

/** As {@link attempt}, for calls that give promises. */
export async function attemptAsync<T>(action: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof DllCallError ? new WindowsError(action, error) : error;
  }
}

/** The device manager's codes (cfgmgr32.h), for which the system has no words. */
const deviceManagerWords = new Map([
  [0x05, 'that is no device'],
  [0x0d, 'there is no such device'],
  [0x13, 'the device manager has failed'],
  [0x1e, 'that is no id of a device'],
  [0x25, 'the device has no such property'],
  [0x33, 'access is denied'],
  [0x34, 'this system cannot do that'],
]);

/** FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS (winbase.h). */
const fromSystem = 0x1000 | 0x200;

/** What the system says for a code, in its language, in the form of our messages; empty where it has nothing to say. */
function systemWords({ kind, status }: DllCallError): string {
  if (kind === 'CONFIGRET') return deviceManagerWords.get(status) ?? '';
  const messageId = kind === 'NTSTATUS' ? bind(ntdll).RtlNtStatusToDosError({ status }) : status;
  const buffer = Buffer.alloc(2 * 512);
  const length = bind(kernel32).FormatMessageW({
    flags: fromSystem,
    messageId,
    languageId: 0,
    buffer,
    size: buffer.length / 2,
    arguments: null,
  });
  const text = buffer.toString('utf16le', 0, 2 * length);
  return text.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
}
