import type { Socket } from 'node:net';

/** Longest line of the control protocol, in bytes; no document that passes through it comes near. */
export const longestLine = 256 * 1024;

const newline = 0x0a;

/**
 * JSON values, one a line, over a stream. A peer that sends no JSON, or a line beyond the limit, is cut off.
 */
export class LineChannel {
  readonly socket: Socket;
  readonly #onData: (chunk: Buffer) => void;
  #partial: Buffer = Buffer.alloc(0);
  #released = false;

  constructor(socket: Socket, onMessage: (message: unknown) => void) {
    this.socket = socket;
    this.#onData = (chunk) => {
      let rest = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
        let message: unknown;
        try {
          message = JSON.parse(rest.toString('utf8', 0, end));
        } catch (error) {
          socket.destroy(new Error('Cannot read the control protocol: a line is no JSON', { cause: error }));
          return;
        }
        rest = rest.subarray(end + 1);
        this.#partial = rest;
        onMessage(message);
        if (this.#released || socket.destroyed) return;
      }
      this.#partial = rest;
      if (rest.length > longestLine) {
        socket.destroy(new Error(`Cannot read the control protocol: a line exceeds ${longestLine} bytes`));
      }
    };
    socket.on('data', this.#onData);
  }

  send(message: unknown): void {
    if (!this.socket.destroyed) this.socket.write(`${JSON.stringify(message)}\n`);
  }

  /** Gives the stream up: what was not read as a line yet goes back into it. Only from within `onMessage`. */
  release(): Socket {
    this.#released = true;
    this.socket.pause();
    this.socket.off('data', this.#onData);
    if (this.#partial.length > 0) this.socket.unshift(this.#partial);
    return this.socket;
  }
}
