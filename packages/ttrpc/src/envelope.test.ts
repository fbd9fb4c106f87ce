import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  type RequestEnvelope,
  type ResponseEnvelope,
} from './envelope.ts';
import { RequestSchema, ResponseSchema } from './generated/envelope_pb.ts';
import { bytes } from './testing/peers.ts';

const request: RequestEnvelope = {
  service: 'a.B',
  method: 'C',
  payload: Uint8Array.of(8, 1),
  timeoutNano: 2_000_000_000n,
  metadata: [['k', 'v']],
};
const requestBytes = bytes(
  '0a03',
  '"a.B"',
  '1201',
  '"C"',
  '1a02 0801',
  '20 80a8d6b907',
  '2a06 0a01',
  '"k"',
  '1201',
  '"v"',
);

describe('a request', () => {
  test('has the bytes of ttrpc.Request', () => {
    assert.deepEqual(encodeRequest(request), requestBytes);
    assert.deepEqual(decodeRequest(requestBytes), request);
  });

  test('leaves room for a frame header', () => {
    assert.deepEqual(encodeRequest(request, 10).subarray(10), requestBytes);
  });

  test('without a payload field has no payload, with an empty one an empty payload', () => {
    assert.equal(decodeRequest(bytes('0a01', '"s"')).payload, undefined);
    assert.equal(decodeRequest(bytes('1a00')).payload?.length, 0);
  });

  test('may have fields of later versions and groups, which are skipped', () => {
    const unknown = bytes(
      'f801 05',
      'f101 0000000000000000',
      'fa01 02 ffff',
      'fd01 00000000',
      'f301 0801 1b 1c f401',
    );
    assert.deepEqual(decodeRequest(Buffer.concat([unknown, requestBytes])), decodeRequest(requestBytes));
  });

  for (const [problem, wire] of [
    ['a field that ends after the message', '0a05 61'],
    ['a varint without end', '20 ffffffffffffffffffffff'],
    ['the field number 0', '00'],
    ['an unknown wire type', '0e'],
    ['text that is not UTF-8', '0a01 ff'],
    ['a group without end', 'fb01 0801'],
    ['a group that ends and has not begun', 'fb01 0c'],
    ['groups nested without end', '0b'.repeat(5000)],
  ] as const)
    test(`with ${problem} is refused`, () => {
      assert.throws(
        () => decodeRequest(bytes(wire)),
        (error) => error instanceof RangeError || error instanceof TypeError,
      );
    });
});

describe('a response', () => {
  test('of success has no status', () => {
    const envelope: ResponseEnvelope = { status: undefined, payload: Uint8Array.of(8, 1) };
    assert.deepEqual(encodeResponse(envelope), bytes('1202 0801'));
    assert.deepEqual(decodeResponse(bytes('1202 0801')), envelope);
  });

  test('of failure has the bytes of google.rpc.Status', () => {
    const envelope: ResponseEnvelope = {
      status: { code: 5, message: 'no', details: [{ typeUrl: 't', value: Uint8Array.of(9) }] },
      payload: undefined,
    };
    const wire = bytes('0a0e', '0805', '1202', '"no"', '1a06', '0a01', '"t"', '120109');
    assert.deepEqual(encodeResponse(envelope), wire);
    assert.deepEqual(decodeResponse(wire), envelope);
  });

  test('of success and nothing in it has no bytes', () => {
    assert.equal(encodeResponse({ status: undefined, payload: new Uint8Array() }).length, 0);
  });
});

const text = fc.string({ unit: 'binary', maxLength: 200 });
const payload = fc.uint8Array({ maxLength: 300 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

test('a request reads and writes as the generated code does it', () => {
  const requests = fc.record({
    service: text,
    method: text,
    payload,
    timeoutNano: int64,
    metadata: fc.array(fc.tuple(text, text), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(requests, (envelope) => {
      const generated = toBinary(
        RequestSchema,
        create(RequestSchema, {
          ...envelope,
          metadata: envelope.metadata.map(([key, value]) => ({ key, value })),
        }),
      );
      assert.deepEqual(encodeRequest(envelope), Buffer.from(generated));
      const decoded = decodeRequest(Buffer.from(generated));
      assert.deepEqual({ ...decoded, payload: decoded.payload ?? new Uint8Array() }, { ...envelope });
    }),
    { numRuns: 300 },
  );
});

test('a response reads and writes as the generated code does it', () => {
  const responses = fc.record({
    status: fc.option(
      fc.record({
        code: int32,
        message: text,
        details: fc.array(fc.record({ typeUrl: text, value: payload }), { maxLength: 3 }),
      }),
      { nil: undefined },
    ),
    payload,
  });
  fc.assert(
    fc.property(responses, (envelope) => {
      const { status } = envelope;
      const message = create(ResponseSchema, { payload: envelope.payload, ...(status && { status }) });
      const generated = toBinary(ResponseSchema, message);
      assert.deepEqual(encodeResponse(envelope), Buffer.from(generated));
      const decoded = decodeResponse(Buffer.from(generated));
      assert.equal(decoded.status?.code, status?.code);
      assert.equal(decoded.status?.message, status?.message);
      assert.deepEqual(
        fromBinary(ResponseSchema, new Uint8Array(encodeResponse(decoded))),
        fromBinary(ResponseSchema, generated),
      );
    }),
    { numRuns: 300 },
  );
});
