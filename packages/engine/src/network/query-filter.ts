import type { HostComputeQuery } from '@hcsshim/schema/hcn';
import { Refusal } from './refusal.ts';

const guidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The test that a query makes of each document: its filter's fields have these values; ids in any letter case. */
export function filterOf({ Filter: text }: HostComputeQuery): (document: object) => boolean {
  if (!text) return () => true;
  const wanted = Object.entries(parse(text));
  return (document) =>
    wanted.every(([name, value]) => isSame((document as Record<string, unknown>)[name], value));
}

function isSame(found: unknown, wanted: unknown): boolean {
  if (typeof found !== 'string' || typeof wanted !== 'string') return found === wanted;
  return guidPattern.test(found) ? found.toLowerCase() === wanted.toLowerCase() : found === wanted;
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // As below.
  }
  throw new Refusal('HCN_E_INVALID_JSON', 'the "Filter" of the query is not a JSON object');
}
