import { createHash } from 'node:crypto';
import { HcsError } from '@hcsshim/schema';

/** `sha256:` and 64 hexadecimal digits; the only algorithm that images use. */
export type Digest = `sha256:${string}`;

export function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Passes a stream on and fails at its end when it was not what its digest says. */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  expected: Digest,
  subject: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== expected) throw wrongDigest(subject, expected, actual);
}

export function wrongDigest(subject: string, expected: string, actual: string): HcsError {
  return new HcsError({
    action: `Cannot use ${subject}`,
    problem: `its digest is ${actual}, expected was ${expected}, get the image again`,
    code: 'ERROR_INVALID_DATA',
  });
}
