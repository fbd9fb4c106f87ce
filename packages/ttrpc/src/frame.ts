/**
 * Frames, the unit in which both ends of a connection talk. Numbers are big-endian.
 *
 *      0        1        2        3        4        5        6        7        8        9        10
 *     ┌────────┬────────┬────────┬────────┬────────┬────────┬────────┬────────┬────────┬────────┬─────────┐
 *     │ length of the data                │ stream id                         │ type   │ flags  │ data …  │
 *     └────────┴────────┴────────┴────────┴────────┴────────┴────────┴────────┴────────┴────────┴─────────┘
 *
 * The first byte is zero in every frame within the limit. Streams that the client starts have odd ids, which
 * only rise. Source: containerd/ttrpc, PROTOCOL.md.
 */

/** Bytes before the data. */
export const frameHeaderLength = 10;

export const FrameType = {
  /** Starts a stream. */
  request: 1,
  /** Ends a stream: the one answer of a unary call, or an error. */
  response: 2,
  /** A message on a stream that has been started. */
  data: 3,
} as const;

export const FrameFlag = {
  /** The sender of this frame sends no more on this stream. */
  remoteClosed: 0x01,
  /** The sender of this request goes on sending on this stream. */
  remoteOpen: 0x02,
  /** This frame carries no message; without it, no data means an empty message. */
  noData: 0x04,
} as const;

/** Writes a header into the first ten bytes of `target`. */
export function writeFrameHeader(
  target: Buffer,
  length: number,
  streamId: number,
  type: number,
  flags: number,
): void {
  target.writeUInt32BE(length, 0);
  target.writeUInt32BE(streamId, 4);
  target[8] = type;
  target[9] = flags;
}

/** What a decoder finds. Bodies are views of the chunks read: a consumer that keeps one for long copies it. */
export interface FrameSink {
  frame(streamId: number, type: number, flags: number, body: Buffer): void;
  /** A frame over the limit. It is told at its header; the decoder then skips its data. */
  oversized(streamId: number, type: number, length: number): void;
}

/**
 * Cuts a stream of bytes into frames, wherever its chunks end. A body inside one chunk is not copied; one
 * that spans chunks is copied once, into a buffer of its own size. Nothing over the limit is ever allocated.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #limit: number;
  /** The beginning of a header that a chunk cut in two. */
  readonly #header = Buffer.alloc(frameHeaderLength);
  #headerFill = 0;
  #streamId = 0;
  #type = 0;
  #flags = 0;
  #body: Buffer | undefined;
  #bodyFill = 0;
  #skip = 0;

  constructor(sink: FrameSink, limit: number) {
    this.#sink = sink;
    this.#limit = limit;
  }

  /** Whether the stream may end here: no frame has begun that is not complete. */
  get atBoundary(): boolean {
    return this.#headerFill === 0 && this.#body === undefined && this.#skip === 0;
  }

  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#skip > 0) position = this.#skipData(chunk, position);
      else if (this.#body !== undefined) position = this.#fillBody(this.#body, chunk, position);
      else if (this.#headerFill > 0 || chunk.length - position < frameHeaderLength)
        position = this.#fillHeader(chunk, position);
      else position = this.#begin(chunk, position, chunk, position + frameHeaderLength);
    }
  }

  #skipData(chunk: Buffer, position: number): number {
    const skipped = Math.min(this.#skip, chunk.length - position);
    this.#skip -= skipped;
    return position + skipped;
  }

  #fillBody(body: Buffer, chunk: Buffer, position: number): number {
    const end = Math.min(chunk.length, position + body.length - this.#bodyFill);
    this.#bodyFill += chunk.copy(body, this.#bodyFill, position, end);
    if (this.#bodyFill === body.length) {
      this.#body = undefined;
      this.#sink.frame(this.#streamId, this.#type, this.#flags, body);
    }
    return end;
  }

  #fillHeader(chunk: Buffer, position: number): number {
    const end = Math.min(chunk.length, position + frameHeaderLength - this.#headerFill);
    this.#headerFill += chunk.copy(this.#header, this.#headerFill, position, end);
    if (this.#headerFill < frameHeaderLength) return end;
    this.#headerFill = 0;
    return this.#begin(this.#header, 0, chunk, end);
  }

  /** Reads the header at `at` of `source`; its data begins at `position` of the chunk. Returns where to go on. */
  #begin(source: Buffer, at: number, chunk: Buffer, position: number): number {
    const length = source.readUInt32BE(at);
    const streamId = source.readUInt32BE(at + 4);
    const type = source[at + 8] as number;
    const flags = source[at + 9] as number;
    if (length > this.#limit) {
      this.#skip = length;
      this.#sink.oversized(streamId, type, length);
      return position;
    }
    if (length <= chunk.length - position) {
      this.#sink.frame(streamId, type, flags, chunk.subarray(position, position + length));
      return position + length;
    }
    this.#streamId = streamId;
    this.#type = type;
    this.#flags = flags;
    this.#body = Buffer.allocUnsafeSlow(length);
    this.#bodyFill = 0;
    return position;
  }
}
