import { HcsError } from '@hcsshim/schema';

/*
 * A frame of the bridge protocol, little-endian:
 *
 *   0        4        8                 16
 *   +--------+--------+-----------------+----------------------+
 *   | type   | size   | sequence id     | body: size − 16      |
 *   | u32    | u32    | u64             | bytes of JSON        |
 *   +--------+--------+-----------------+----------------------+
 *
 *   type:  31..28 kind (1 request, 2 response, 3 notification)
 *          27..20 category (1 compute system)   19..8 message number   7..0 version (1)
 */

export const frameHeaderSize = 16;

/** Largest frame that an upstream host takes from its guest; both hosts end the connection at a larger one. */
export const hostFrameLimit = 0x10000;

/** Default largest frame that our guest takes. The protocol sets none; a container's whole spec must fit. */
export const guestFrameLimit = 16 * 1024 * 1024;

export interface Frame {
  /** The type word, see `guestMessages` in `@hcsshim/schema`. */
  type: number;
  /** Names a request in its response; 0 in a notification. */
  sequenceId: bigint;
  body: Uint8Array;
}

/** The frame's bytes, ready for the wire. */
export function encodeFrame({ type, sequenceId, body }: Frame): Uint8Array {
  const bytes = new Uint8Array(frameHeaderSize + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, bytes.length, true);
  view.setBigUint64(8, sequenceId, true);
  bytes.set(body, frameHeaderSize);
  return bytes;
}

/**
 * Cuts a byte stream into frames, wherever its chunks begin and end. Holds at most one frame that is not
 * complete, of no more than `limit` bytes.
 */
export class FrameDecoder {
  readonly #limit: number;
  readonly #header = new Uint8Array(frameHeaderSize);
  #headerLength = 0;
  #body: Uint8Array | undefined;
  #bodyLength = 0;

  /** `limit` is the largest frame in bytes, header included. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The frames that `chunk` completes. Throws HCS_E_PROTOCOL_ERROR for a size below the header's or above the
   * limit; the decoder is of no use after that.
   */
  *push(chunk: Uint8Array): Generator<Frame, void, undefined> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#body === undefined) {
        rest = this.#takeHeader(rest);
        if (this.#headerLength < frameHeaderSize) return;
        this.#body = new Uint8Array(this.#declaredSize() - frameHeaderSize);
        this.#bodyLength = 0;
      }
      // A frame without a body is complete here, with nothing of the chunk left.
      const taken = rest.subarray(0, this.#body.length - this.#bodyLength);
      this.#body.set(taken, this.#bodyLength);
      this.#bodyLength += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#bodyLength === this.#body.length) yield this.#takeFrame(this.#body);
    }
  }

  /** To be called at the end of the stream. Throws HCS_E_CONNECTION_CLOSED when it came inside a frame. */
  finish(): void {
    if (this.#headerLength === 0) return;
    const where =
      this.#body === undefined
        ? `after ${this.#headerLength} of the ${frameHeaderSize} bytes of a header`
        : `after ${this.#bodyLength} of the ${this.#body.length} bytes of a message`;
    throw new HcsError({
      action: 'Cannot read from the bridge',
      problem: `the peer closed the connection ${where}`,
      code: 'HCS_E_CONNECTION_CLOSED',
    });
  }

  #takeHeader(chunk: Uint8Array): Uint8Array {
    const taken = chunk.subarray(0, frameHeaderSize - this.#headerLength);
    this.#header.set(taken, this.#headerLength);
    this.#headerLength += taken.length;
    return chunk.subarray(taken.length);
  }

  #declaredSize(): number {
    const declared = this.#view().getUint32(4, true);
    if (declared >= frameHeaderSize && declared <= this.#limit) return declared;
    throw new HcsError({
      action: 'Cannot read from the bridge',
      problem: `the peer announced a frame of ${declared} bytes, allowed are ${frameHeaderSize} to ${this.#limit}`,
      code: 'HCS_E_PROTOCOL_ERROR',
    });
  }

  #takeFrame(body: Uint8Array): Frame {
    const view = this.#view();
    const frame = { type: view.getUint32(0, true), sequenceId: view.getBigUint64(8, true), body };
    this.#headerLength = 0;
    this.#body = undefined;
    return frame;
  }

  #view(): DataView {
    return new DataView(this.#header.buffer);
  }
}
