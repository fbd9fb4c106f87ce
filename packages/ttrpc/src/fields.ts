/**
 * The fields of a protobuf message, one by one. A field is a tag, a varint of `number << 3 | wire type`, and
 * its content:
 *
 *     varint           0   1 to 10 bytes, 7 bits each, the lowest first, the high bit says that more follow
 *     fixed64          1   8 bytes
 *     length-delimited 2   a varint of the length, then as many bytes: text, bytes, a message
 *     group            3   fields up to the same number with wire type 4
 *     fixed32          5   4 bytes
 *
 * Source: protobuf.dev, "Encoding".
 */
import { isUtf8 } from 'node:buffer';

export const wireType = {
  varint: 0,
  fixed64: 1,
  lengthDelimited: 2,
  startGroup: 3,
  endGroup: 4,
  fixed32: 5,
} as const;

/** Deepest nesting of unknown groups that is skipped, as protobuf implementations have it. */
const groupLimit = 100;

/** A view of a buffer's bytes as what messages hold: with a Buffer in them they would not compare alike. */
export function plainBytes(buffer: Buffer, start = 0, end = buffer.length): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start);
}

/** Goes through the fields of one message. */
export class FieldReader {
  readonly #bytes: Buffer;
  #position: number;
  readonly #end: number;
  #field = 0;
  #wireType = 0;

  constructor(bytes: Buffer, position: number, end: number) {
    this.#bytes = bytes;
    this.#position = position;
    this.#end = end;
  }

  /** Reads the next field's tag; false at the end of the message. */
  next(): boolean {
    if (this.#position === this.#end) return false;
    const tag = this.#varint32();
    this.#field = tag >>> 3;
    this.#wireType = tag & 7;
    if (this.#field === 0) throw new TypeError('a field has the number 0');
    return true;
  }

  is(field: number, wireType: number): boolean {
    return this.#field === field && this.#wireType === wireType;
  }

  int32(): number {
    return this.#varint32() | 0;
  }

  int64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new RangeError('a varint has more than 10 bytes');
  }

  bytes(): Uint8Array {
    const start = this.#take();
    return plainBytes(this.#bytes, start, this.#position);
  }

  string(): string {
    const start = this.#take();
    const text = this.#bytes.toString('utf8', start, this.#position);
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(start, this.#position)))
      throw new TypeError('a string is not UTF-8');
    return text;
  }

  message(): FieldReader {
    const start = this.#take();
    return new FieldReader(this.#bytes, start, this.#position);
  }

  skip(depth = 0): void {
    switch (this.#wireType) {
      case wireType.varint:
        this.#varint32();
        return;
      case wireType.fixed64:
        this.#advance(8);
        return;
      case wireType.lengthDelimited:
        this.#take();
        return;
      case wireType.fixed32:
        this.#advance(4);
        return;
      case wireType.startGroup:
        this.#skipGroup(this.#field, depth + 1);
        return;
      default:
        throw new TypeError(`a field has the wire type ${this.#wireType}`);
    }
  }

  #skipGroup(field: number, depth: number): void {
    if (depth > groupLimit) throw new RangeError(`groups are nested more than ${groupLimit} deep`);
    while (this.next()) {
      if (this.#wireType === wireType.endGroup) {
        if (this.#field !== field) throw new TypeError('a group ends that has not begun');
        return;
      }
      this.skip(depth);
    }
    throw new RangeError('a group has no end');
  }

  /** Steps over a length and the bytes that it announces; returns where they start. */
  #take(): number {
    const length = this.#varint32();
    const start = this.#position;
    this.#advance(length);
    return start;
  }

  #advance(length: number): void {
    if (length > this.#end - this.#position)
      throw new RangeError(`a field ends ${length - (this.#end - this.#position)} bytes after its message`);
    this.#position += length;
  }

  /** The low 32 bits of a varint, unsigned. */
  #varint32(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new RangeError('a varint has more than 10 bytes');
  }

  #byte(): number {
    if (this.#position >= this.#end) throw new RangeError('a field ends after its message');
    return this.#bytes[this.#position++] as number;
  }
}

/** Most bytes that a varint takes. */
export const varintMaximum = 10;

function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** A negative int32 is written as the int64 of the same value. */
export function int32Length(value: number): number {
  return value < 0 ? varintMaximum : varintLength(value);
}

/** Bytes of a field, its tag included. Fields with no content are left out, as proto3 has it. */
export function textLength(text: string): number {
  return text === '' ? 0 : messageLength(Buffer.byteLength(text));
}

export function bytesLength(bytes: Uint8Array | undefined): number {
  return bytes === undefined || bytes.length === 0 ? 0 : messageLength(bytes.length);
}

export function messageLength(length: number): number {
  return 1 + varintLength(length) + length;
}

/** Writes the fields of a message into a buffer that is known to have room for them. */
export class FieldWriter {
  readonly #buffer: Buffer;
  #position: number;

  constructor(buffer: Buffer, position: number) {
    this.#buffer = buffer;
    this.#position = position;
  }

  finish(): Buffer {
    return this.#position === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#position);
  }

  text(field: number, text: string): void {
    if (text === '') return;
    this.message(field, Buffer.byteLength(text));
    this.#position += this.#buffer.write(text, this.#position);
  }

  bytes(field: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || bytes.length === 0) return;
    this.message(field, bytes.length);
    this.#buffer.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** Writes the tag and the length of a field whose content follows. */
  message(field: number, length: number): void {
    this.#buffer[this.#position++] = (field << 3) | wireType.lengthDelimited;
    this.#varint(length);
  }

  int32(field: number, value: number): void {
    if (value < 0) this.int64(field, BigInt(value));
    else if (value > 0) {
      this.#buffer[this.#position++] = (field << 3) | wireType.varint;
      this.#varint(value);
    }
  }

  int64(field: number, value: bigint): void {
    if (value === 0n) return;
    this.#buffer[this.#position++] = (field << 3) | wireType.varint;
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.#buffer[this.#position++] = Number(rest & 0x7fn) | 0x80;
    this.#buffer[this.#position++] = Number(rest);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[this.#position++] = (rest & 0x7f) | 0x80;
    this.#buffer[this.#position++] = rest;
  }
}
