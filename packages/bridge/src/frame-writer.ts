import type { Writable } from 'node:stream';
import { encodeFrame, type Frame } from './frame.ts';

/**
 * Writes frames one at a time: each waits until the stream has taken the one before, so that what waits here
 * is bounded by the number of callers, not by a buffer.
 */
export class FrameWriter {
  readonly #stream: Writable;
  #last: Promise<void> = Promise.resolve();

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Resolves when the stream has taken the frame. Rejects with the stream's error. */
  write(frame: Frame): Promise<void> {
    const written = this.#last.then(() => this.#send(encodeFrame(frame)));
    this.#last = written.catch(() => {});
    return written;
  }

  /** Resolves when all that was written so far has gone out or failed. */
  flushed(): Promise<void> {
    return this.#last;
  }

  #send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }
}
