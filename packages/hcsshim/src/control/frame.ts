import type { Duplex } from 'node:stream';

/**
 * Frames between a command such as `hcsshim exec` and the process that owns the container, over a unix socket
 * that only its user can open:
 *
 *     0        4         5
 *     ┌────────┬─────────┬──────────────┐
 *     │ length │ channel │ payload …    │   length: u32 big-endian, of the payload
 *     └────────┴─────────┴──────────────┘
 *
 * Channel 0 carries JSON messages, channel 1 stdin (to the owner) or stdout (from it), channel 2 stderr.
 */
export const Channel = { message: 0, primary: 1, stderr: 2 } as const;

export interface Frame {
  channel: number;
  payload: Buffer;
}

const headerLength = 5;
const longestPayload = 1024 * 1024;

export function encodeFrame(channel: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerLength + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt8(channel, 4);
  frame.set(payload, headerLength);
  return frame;
}

export function encodeMessage(message: unknown): Buffer {
  return encodeFrame(Channel.message, Buffer.from(JSON.stringify(message)));
}

/** The frames of a stream in order. Throws on a frame over 1 MiB and on a stream that ends inside one. */
export async function* readFrames(stream: Duplex): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= headerLength) {
      const length = rest.readUInt32BE(0);
      if (length > longestPayload) {
        throw new Error(`Cannot read a control frame: ${length} bytes, the limit is ${longestPayload}`);
      }
      if (rest.length < headerLength + length) break;
      yield { channel: rest.readUInt8(4), payload: rest.subarray(headerLength, headerLength + length) };
      rest = rest.subarray(headerLength + length);
    }
  }
  if (rest.length > 0)
    throw new Error('Cannot read a control frame: the connection closed in the middle of it');
}

/** The object in a message frame. Throws when it is none. */
export function parseMessage(frame: Frame): Record<string, unknown> {
  const message: unknown = JSON.parse(frame.payload.toString());
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new Error('Cannot read a control message: it is not an object');
  }
  return message as Record<string, unknown>;
}
