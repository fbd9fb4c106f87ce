import { createHash } from 'node:crypto';

/**
 * An id that is always the same for the same name: a UUID of version 8 (RFC 9562), which is one's own making.
 * `purpose` keeps the ids apart that one layer has.
 */
export function namedId(purpose: string, name: string): Uint8Array {
  const id = createHash('sha256').update(`${purpose} ${name}`).digest().subarray(0, 16);
  id[6] = (id[6]! & 0x0f) | 0x80;
  id[8] = (id[8]! & 0x3f) | 0x80;
  return id;
}
