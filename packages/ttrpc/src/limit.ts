import { TtrpcError } from './error.ts';

/** The most bytes that the data of one frame may have, both ways: 4 MiB (PROTOCOL.md, "Message Frame"). */
export const messageLimit = 4 * 1024 * 1024;

/** Throws ResourceExhausted for a message that may not be sent. */
export function assertWithinLimit(length: number, limit: number, call: string): void {
  if (length > limit) throw overLimit(`Cannot send a message of "${call}"`, length, limit);
}

/** ResourceExhausted, for a message that is over the limit. */
export function overLimit(action: string, length: number, limit: number): TtrpcError {
  return new TtrpcError('ResourceExhausted', `${action}: it has ${length} bytes, the limit is ${limit}`);
}
