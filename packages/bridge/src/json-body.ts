import { HcsError } from '@hcsshim/schema';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** JSON as an upstream host writes it, ended by a newline. */
export function encodeHostBody(message: unknown): Uint8Array {
  return encoder.encode(`${JSON.stringify(message)}\n`);
}

/** JSON as an upstream guest writes it, with nothing after it. */
export function encodeGuestBody(message: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(message));
}

/** Throws HCS_E_INVALID_JSON when the body is not UTF-8 or not JSON. `subject` names it in the error. */
export function decodeBody(subject: string, body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch (error) {
    throw new HcsError({
      action: `Cannot read ${subject}`,
      problem: 'its body is not JSON',
      code: 'HCS_E_INVALID_JSON',
      cause: error,
    });
  }
}
