import { HcsError, type HResultName } from '@hcsshim/schema';

/** Why something cannot be done. Who knows what was being done makes an HcsError of it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: HResultName;

  /** @param problem In words, to follow a colon. */
  constructor(code: HResultName, problem: string) {
    super(problem);
    this.code = code;
  }
}

export function notSupported(problem: string): Refusal {
  return new Refusal('ERROR_NOT_SUPPORTED', problem);
}

const forbidden: ReadonlySet<string> = new Set(['EPERM', 'EACCES']);
/** What a kernel says that has been built without something. */
const missing: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']);

/**
 * What came up in a call, as an error of the port.
 *
 * @param action Begins with "Cannot".
 */
export function networkError(action: string, error: unknown): HcsError {
  const told = (code: HResultName, problem: string): HcsError =>
    new HcsError({ action, problem, code, cause: error });
  if (error instanceof Refusal) return new HcsError({ action, problem: error.message, code: error.code });
  if (error instanceof HcsError) return error.action === action ? error : told(error.code, error.problem);
  if (!(error instanceof Error)) return told('E_UNEXPECTED', String(error));
  const { code = '' } = error as NodeJS.ErrnoException;
  const problem = lowerFirst(error.message);
  if (forbidden.has(code))
    return told(
      'E_ACCESSDENIED',
      `${problem}; networks need root, or CAP_NET_ADMIN, CAP_SYS_ADMIN and a state directory of one's own`,
    );
  if (missing.has(code)) return told('ERROR_NOT_SUPPORTED', `${problem}; the kernel lacks it`);
  return told(code === '' ? 'E_UNEXPECTED' : 'E_FAIL', problem);
}

/** To follow a colon; abbreviations stay as they are. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
