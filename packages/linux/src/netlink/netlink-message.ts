/**
 * Messages of netlink(7), the protocol by which the kernel is told of links, addresses, routes and packet filters.
 * All numbers of the header are in the machine's order, which here is little-endian:
 *
 *     0         4      6       8           12        16
 *     length    type   flags   sequence    port id   payload …          padded to 4 bytes
 *
 * A payload is a structure of the message's type, then attributes, which may hold attributes:
 *
 *     0         2      4
 *     length    type   value …                                          padded to 4 bytes
 */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** A value is bytes, or the attributes that are in it. */
export type NetlinkAttribute = readonly [type: number, value: Uint8Array | readonly NetlinkAttribute[]];

/** `NLM_F_*` of `linux/netlink.h`. */
export const NetlinkFlag = {
  request: 0x1,
  multi: 0x2,
  acknowledge: 0x4,
  dumpInterrupted: 0x10,
  dump: 0x300,
  exclusive: 0x200,
  replace: 0x100,
  create: 0x400,
  append: 0x800,
} as const;

/** Of answers to a request: it was cut off, and attributes with words follow. */
export const AnswerFlag = { capped: 0x100, hasAttributes: 0x200 } as const;

export const headerSize = 16;
const attributeHeaderSize = 4;
const nested = 0x8000;
const typeMask = 0x3fff;
const longestAttribute = 0xffff;

/** Of a datagram. The kernel fills one with at most 32 KiB of a list (`netlink_dump`), in which fewer have room. */
const mostMessages = 4096;
const mostAttributes = 1024;

/** Bytes that are no netlink messages. */
export class NetlinkFormatError extends Error {
  override readonly name = 'NetlinkFormatError';

  /** @param action To follow "Cannot". @default read a netlink message */
  constructor(problem: string, action = 'read a netlink message') {
    super(`Cannot ${action}: ${problem}`);
  }
}

export function encodeMessage({ type, flags, sequence, payload }: NetlinkMessage): Uint8Array {
  const length = headerSize + payload.length;
  const bytes = Buffer.alloc(aligned(length));
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(payload, headerSize);
  return bytes;
}

/** The messages of one datagram. Throws a NetlinkFormatError. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (messages.length === mostMessages) throw new NetlinkFormatError(`more than ${mostMessages} messages`);
    if (bytes.length - at < headerSize) throw new NetlinkFormatError('a header is cut off');
    const length = view.getUint32(at, true);
    if (length < headerSize || length > bytes.length - at)
      throw new NetlinkFormatError(`a message of ${length} bytes where ${bytes.length - at} are left`);
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: bytes.subarray(at + headerSize, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

export function encodeAttributes(attributes: readonly NetlinkAttribute[]): Uint8Array {
  const parts = attributes.map(([type, value]) => {
    const isNest = !(value instanceof Uint8Array);
    const inner = isNest ? encodeAttributes(value) : value;
    const length = attributeHeaderSize + inner.length;
    if (length > longestAttribute)
      throw new RangeError(
        `Cannot encode attribute ${type}: ${length} bytes are more than ${longestAttribute}`,
      );
    const bytes = Buffer.alloc(aligned(length));
    bytes.writeUInt16LE(length, 0);
    bytes.writeUInt16LE(isNest ? type | nested : type, 2);
    bytes.set(inner, attributeHeaderSize);
    return bytes;
  });
  return Buffer.concat(parts);
}

/** Attributes in the order in which they came, values as bytes. Throws a NetlinkFormatError. */
export function decodeAttributeList(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  const view = viewOf(bytes);
  const attributes: [number, Uint8Array][] = [];
  for (let at = 0; at < bytes.length; ) {
    if (attributes.length === mostAttributes)
      throw new NetlinkFormatError(`more than ${mostAttributes} attributes`);
    if (bytes.length - at < attributeHeaderSize) throw new NetlinkFormatError('an attribute is cut off');
    const length = view.getUint16(at, true);
    if (length < attributeHeaderSize || length > bytes.length - at)
      throw new NetlinkFormatError(`an attribute of ${length} bytes where ${bytes.length - at} are left`);
    attributes.push([view.getUint16(at + 2, true) & typeMask, bytes.subarray(at + 4, at + length)]);
    at += aligned(length);
  }
  return attributes;
}

/** Attributes by type; of a type that comes twice the last. Throws a NetlinkFormatError. */
export function decodeAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  return new Map(decodeAttributeList(bytes));
}

/** The attributes after the message's own structure. */
export function attributesAfter(payload: Uint8Array, structureSize: number): Map<number, Uint8Array> {
  if (payload.length < structureSize)
    throw new NetlinkFormatError(`a payload of ${payload.length} bytes, ${structureSize} are its structure`);
  return decodeAttributes(payload.subarray(structureSize));
}

export function u16be(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u32be(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** With its NUL. */
export function text(value: string): Uint8Array {
  return Buffer.from(`${value}\0`);
}

export function readU32(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, true);
}

/** Without its NUL. */
export function readText(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').replace(/\0.*$/s, '');
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}
