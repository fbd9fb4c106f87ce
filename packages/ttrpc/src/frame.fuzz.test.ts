import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRequest, decodeResponse } from './envelope.ts';
import { FrameDecoder } from './frame.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 2000);

/** Bytes that are wholly random get stuck in the first header: small numbers and real tags go deeper. */
const likelyByte = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 2, 3, 5, 10, 0x12, 0x1a, 0x20, 0x2a, 0x80, 0xff) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const input = fc.array(likelyByte, { maxLength: 200 }).map((numbers) => Buffer.from(numbers));

test('no bytes make the frame decoder throw, loop, or hand out a body over the limit', () => {
  const limit = 64;
  fc.assert(
    fc.property(fc.array(input, { maxLength: 4 }), (chunks) => {
      let received = 0;
      const decoder = new FrameDecoder(
        {
          frame(_streamId, _type, _flags, body) {
            assert.ok(body.length <= limit);
            received += 10 + body.length;
          },
          oversized: (_streamId, _type, length) => assert.ok(length > limit),
        },
        limit,
      );
      for (const chunk of chunks) decoder.push(chunk);
      assert.ok(received <= chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    }),
    { numRuns },
  );
});

test('any bytes are an envelope or an error that says they are none', () => {
  fc.assert(
    fc.property(input, (bytes) => {
      for (const decode of [decodeRequest, decodeResponse]) {
        try {
          const { payload } = decode(bytes);
          assert.ok((payload?.length ?? 0) <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof RangeError || error instanceof TypeError, String(error));
        }
      }
    }),
    { numRuns },
  );
});
