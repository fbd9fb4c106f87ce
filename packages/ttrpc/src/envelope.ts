/**
 * The envelope around every call: the protobuf messages `ttrpc.Request` and `ttrpc.Response` of
 * `proto/envelope.proto`, read and written by hand.
 *
 *     Request   1 service   2 method   3 payload   4 timeout_nano   5 metadata { 1 key  2 value } *
 *     Response  1 status { 1 code  2 message  3 details { 1 type_url  2 value } * }   2 payload
 *
 * By hand: every call passes here twice on each side, and a shim would pay for the descriptors at each of its
 * starts (README.md has the numbers). `envelope.test.ts` holds this codec to what the generated code reads
 * and writes.
 */
import type { ErrorDetail } from './error.ts';
import {
  bytesLength,
  FieldReader,
  FieldWriter,
  int32Length,
  messageLength,
  textLength,
  varintMaximum,
  wireType,
} from './fields.ts';
import type { MetadataEntry } from './metadata.ts';

export interface RequestEnvelope {
  service: string;
  method: string;
  /** The message, undefined where the request has none: a stream that begins with no message. */
  payload: Uint8Array | undefined;
  /** Time left for the call, 0 for no limit. */
  timeoutNano: bigint;
  metadata: readonly MetadataEntry[];
}

interface StatusEnvelope {
  code: number;
  message: string;
  details: readonly ErrorDetail[];
}

export interface ResponseEnvelope {
  /** Undefined for success. */
  status: StatusEnvelope | undefined;
  /** The message, undefined where the response has none; a unary call takes that for an empty message. */
  payload: Uint8Array | undefined;
}

const noEntries: readonly MetadataEntry[] = [];
const noDetails: readonly ErrorDetail[] = [];

/** Throws a RangeError or a TypeError for bytes that are no such message. */
export function decodeRequest(bytes: Buffer): RequestEnvelope {
  const reader = new FieldReader(bytes, 0, bytes.length);
  let service = '';
  let method = '';
  let payload: Uint8Array | undefined;
  let timeoutNano = 0n;
  let metadata: MetadataEntry[] | undefined;
  while (reader.next()) {
    if (reader.is(1, wireType.lengthDelimited)) service = reader.string();
    else if (reader.is(2, wireType.lengthDelimited)) method = reader.string();
    else if (reader.is(3, wireType.lengthDelimited)) payload = reader.bytes();
    else if (reader.is(4, wireType.varint)) timeoutNano = reader.int64();
    else if (reader.is(5, wireType.lengthDelimited)) (metadata ??= []).push(readEntry(reader.message()));
    else reader.skip();
  }
  return { service, method, payload, timeoutNano, metadata: metadata ?? noEntries };
}

/** Throws a RangeError or a TypeError for bytes that are no such message. */
export function decodeResponse(bytes: Buffer): ResponseEnvelope {
  const reader = new FieldReader(bytes, 0, bytes.length);
  let status: StatusEnvelope | undefined;
  let payload: Uint8Array | undefined;
  while (reader.next()) {
    if (reader.is(1, wireType.lengthDelimited)) status = readStatus(reader.message(), status);
    else if (reader.is(2, wireType.lengthDelimited)) payload = reader.bytes();
    else reader.skip();
  }
  return { status, payload };
}

/** The encoded message, after `headroom` bytes that the caller fills: a frame's header goes there. */
export function encodeRequest(request: RequestEnvelope, headroom = 0): Buffer {
  const metadata = request.metadata.map(([key, value]) => ({
    key,
    value,
    length: textLength(key) + textLength(value),
  }));
  let length = headroom + textLength(request.service) + textLength(request.method);
  length += bytesLength(request.payload);
  if (request.timeoutNano !== 0n) length += 1 + varintMaximum;
  for (const entry of metadata) length += messageLength(entry.length);

  const writer = new FieldWriter(Buffer.allocUnsafe(length), headroom);
  writer.text(1, request.service);
  writer.text(2, request.method);
  writer.bytes(3, request.payload);
  writer.int64(4, request.timeoutNano);
  for (const entry of metadata) {
    writer.message(5, entry.length);
    writer.text(1, entry.key);
    writer.text(2, entry.value);
  }
  return writer.finish();
}

/** The encoded message, after `headroom` bytes that the caller fills: a frame's header goes there. */
export function encodeResponse(response: ResponseEnvelope, headroom = 0): Buffer {
  const { status, payload } = response;
  const details = status?.details.map((detail) => ({
    detail,
    length: textLength(detail.typeUrl) + bytesLength(detail.value),
  }));
  let statusLength = 0;
  if (status !== undefined && details !== undefined) {
    statusLength = (status.code === 0 ? 0 : 1 + int32Length(status.code)) + textLength(status.message);
    for (const { length } of details) statusLength += messageLength(length);
  }
  const length = headroom + (status === undefined ? 0 : messageLength(statusLength)) + bytesLength(payload);

  const writer = new FieldWriter(Buffer.allocUnsafe(length), headroom);
  if (status !== undefined && details !== undefined) {
    writer.message(1, statusLength);
    writer.int32(1, status.code);
    writer.text(2, status.message);
    for (const { detail, length } of details) {
      writer.message(3, length);
      writer.text(1, detail.typeUrl);
      writer.bytes(2, detail.value);
    }
  }
  writer.bytes(2, payload);
  return writer.finish();
}

function readEntry(reader: FieldReader): MetadataEntry {
  let key = '';
  let value = '';
  while (reader.next()) {
    if (reader.is(1, wireType.lengthDelimited)) key = reader.string();
    else if (reader.is(2, wireType.lengthDelimited)) value = reader.string();
    else reader.skip();
  }
  return [key, value];
}

function readStatus(reader: FieldReader, earlier: StatusEnvelope | undefined): StatusEnvelope {
  let code = earlier?.code ?? 0;
  let message = earlier?.message ?? '';
  const details = earlier ? [...earlier.details] : [];
  while (reader.next()) {
    if (reader.is(1, wireType.varint)) code = reader.int32();
    else if (reader.is(2, wireType.lengthDelimited)) message = reader.string();
    else if (reader.is(3, wireType.lengthDelimited)) details.push(readDetail(reader.message()));
    else reader.skip();
  }
  return { code, message, details: details.length > 0 ? details : noDetails };
}

function readDetail(reader: FieldReader): ErrorDetail {
  let typeUrl = '';
  let value: Uint8Array = new Uint8Array();
  while (reader.next()) {
    if (reader.is(1, wireType.lengthDelimited)) typeUrl = reader.string();
    else if (reader.is(2, wireType.lengthDelimited)) value = reader.bytes();
    else reader.skip();
  }
  return { typeUrl, value };
}
