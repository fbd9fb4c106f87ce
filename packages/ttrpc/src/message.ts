import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { TtrpcError } from './error.ts';
import { frameHeaderLength } from './frame.ts';
import { assertWithinLimit, messageLimit } from './limit.ts';

const empty = new Uint8Array();

/** The bytes of a message of the method `name`. Throws Internal for a value that the message cannot hold. */
export function encodeMessage<M extends DescMessage>(
  schema: M,
  message: MessageInitShape<M> | undefined,
  name: string,
): Uint8Array {
  try {
    return toBinary(schema, create(schema, message));
  } catch (cause) {
    throw new TtrpcError('Internal', `Cannot send a message of "${name}": it is no ${schema.typeName}`, {
      cause,
    });
  }
}

/** Throws Internal for bytes that are no such message. No bytes are an empty message. */
export function decodeMessage<M extends DescMessage>(
  schema: M,
  bytes: Uint8Array | undefined,
  name: string,
): MessageShape<M> {
  try {
    return fromBinary(schema, bytes ?? empty);
  } catch (cause) {
    throw new TtrpcError('Internal', `Cannot read a message of "${name}": it is no ${schema.typeName}`, {
      cause,
    });
  }
}

/** A message of a stream, with room for the header before it. Throws ResourceExhausted over the limit. */
export function frameMessage(message: Uint8Array, name: string): Buffer {
  assertWithinLimit(message.length, messageLimit, name);
  const frame = Buffer.allocUnsafe(frameHeaderLength + message.length);
  frame.set(message, frameHeaderLength);
  return frame;
}
