import { HcsError, type HResultName, hresultName } from '@hcsshim/schema';
import { DllCallError } from '@hcsshim/windows';

/** What an error of a call into the Host Compute Service says, by name; undefined for a code without one. */
function codeOf(error: unknown): HResultName | undefined {
  if (error instanceof HcsError) return error.code;
  return error instanceof DllCallError ? hresultName(error.hresult) : undefined;
}

/** Whether an error has one of these codes. */
export function hasCode(error: unknown, codes: ReadonlySet<HResultName>): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.has(code);
}

/** The refusals of a system that has ended. */
export const systemHasEnded: ReadonlySet<HResultName> = new Set<HResultName>([
  'HCS_E_SYSTEM_ALREADY_STOPPED',
  'HCS_E_SYSTEM_NOT_FOUND',
]);
