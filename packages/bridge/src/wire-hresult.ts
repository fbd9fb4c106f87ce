import { HResult, type HResultName } from '@hcsshim/schema';

/**
 * Codes that upstream's guest writes in their NTSTATUS spelling, 0xC037…, and that upstream's host compares
 * in that spelling (`internal/guest/gcserr`). All others go out as `HResult` has them.
 */
const ntStatus: Partial<Record<HResultName, number>> = {
  HCS_E_CONNECTION_TIMEOUT: 0xc0370109,
  HCS_E_UNKNOWN_MESSAGE: 0xc037010b,
  HCS_E_UNSUPPORTED_PROTOCOL_VERSION: 0xc037010c,
  HCS_E_INVALID_JSON: 0xc037010d,
  HCS_E_SYSTEM_NOT_FOUND: 0xc037010e,
  HCS_E_SYSTEM_ALREADY_EXISTS: 0xc037010f,
  HCS_E_SYSTEM_ALREADY_STOPPED: 0xc0370110,
};

/** The code as `Result` carries it: a signed 32-bit number. */
export function wireHresult(code: HResultName): number {
  return (ntStatus[code] ?? HResult[code]) | 0;
}
