import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import { encodeFrame, type Frame, FrameDecoder, frameHeaderSize } from './frame.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

function decode(chunks: Iterable<Uint8Array>, limit = 0x10000): Frame[] {
  const decoder = new FrameDecoder(limit);
  const frames = [...chunks].flatMap((chunk) => [...decoder.push(chunk)]);
  decoder.finish();
  return frames;
}

const golden = {
  frame: { type: 0x10100b01, sequenceId: 0x0102030405060708n, body: bytes('7b7d0a') },
  wire: bytes('010b1010 13000000 0807060504030201 7b7d0a'),
};

test('a frame has the bytes that the protocol says', () => {
  assert.deepEqual(encodeFrame(golden.frame), golden.wire);
  assert.deepEqual(decode([golden.wire]), [golden.frame]);
});

test('a frame without a body is a frame', () => {
  const wire = bytes('01010130 10000000 0000000000000000');
  assert.deepEqual(decode([wire]), [{ type: 0x30010101, sequenceId: 0n, body: new Uint8Array() }]);
  assert.deepEqual(decode([wire.subarray(0, 15), wire.subarray(15)]).length, 1);
});

const anyFrame = fc.record(
  {
    type: fc.integer({ min: 0, max: 0xffffffff }),
    sequenceId: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
    body: fc.uint8Array({ maxLength: 100 }),
  },
  { noNullPrototype: true },
);

test('frames come out the same wherever the stream is split', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 5 }), fc.array(fc.nat(600)), (frames, cuts) => {
      const wire = Buffer.concat(frames.map(encodeFrame));
      const places = [0, ...cuts.filter((cut) => cut < wire.length).sort((a, b) => a - b), wire.length];
      const chunks = places.slice(1).map((end, index) => new Uint8Array(wire.subarray(places[index], end)));
      assert.deepEqual(decode(chunks), frames);
    }),
  );
});

test('any bytes at all give frames within the limit or a protocol error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
      const decoder = new FrameDecoder(64);
      try {
        for (const chunk of chunks) {
          for (const { body } of decoder.push(chunk)) assert.ok(frameHeaderSize + body.length <= 64);
        }
      } catch (error) {
        assert.ok(isHcsError(error, 'HCS_E_PROTOCOL_ERROR'));
      }
    }),
  );
});

for (const [name, size] of [
  ['below the header', 15],
  ['of nothing', 0],
  ['above the limit', 0x10001],
  ['of 4 GiB', 0xffffffff],
] as const) {
  test(`a size ${name} is refused before anything is kept for it`, () => {
    const wire = encodeFrame(golden.frame);
    new DataView(wire.buffer).setUint32(4, size, true);
    assert.throws(
      () => decode([wire.subarray(0, frameHeaderSize)]),
      (error: Error) => isHcsError(error, 'HCS_E_PROTOCOL_ERROR') && error.message.includes(`${size} bytes`),
    );
  });
}

test('a frame of exactly the limit passes', () => {
  const body = new Uint8Array(0x10000 - frameHeaderSize);
  assert.equal(decode([encodeFrame({ type: 1, sequenceId: 1n, body })])[0]?.body.length, body.length);
});

test('a stream that ends inside a frame says where', () => {
  assert.throws(() => decode([golden.wire.subarray(0, 7)]), /after 7 of the 16 bytes of a header/);
  assert.throws(() => decode([golden.wire.subarray(0, 18)]), /after 2 of the 3 bytes of a message/);
});
