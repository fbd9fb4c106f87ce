/**
 * What happens on a bridge, for a log. Bodies are never part of it: they hold environments and policies.
 */
export interface BridgeLogEntry {
  level: 'error' | 'debug';
  message: string;
  fields: Record<string, string | number>;
}

export type BridgeLog = (entry: BridgeLogEntry) => void;

/** A type word as a log shows it. */
export function hex(type: number): string {
  return `0x${type.toString(16).padStart(8, '0')}`;
}
