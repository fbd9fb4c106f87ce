import type { Readable } from 'node:stream';

/**
 * Hands every chunk to `take`, one after the other, until the stream ends. A stream that is closed at this end
 * ends the same way; one that fails rejects with its error.
 */
export async function untilClosed(stream: Readable, take: (chunk: Uint8Array) => void): Promise<void> {
  try {
    for await (const chunk of stream) take(chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}
