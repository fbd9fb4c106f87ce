import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { Channel, encodeFrame, encodeMessage, type Frame, parseMessage, readFrames } from './frame.ts';

async function decode(chunks: Iterable<Uint8Array>): Promise<Frame[]> {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  return Array.fromAsync(readFrames(stream));
}

test('a frame is five bytes of header and the payload', () => {
  assert.equal(encodeFrame(Channel.stderr, Buffer.from('hi')).toString('hex'), '00000002026869');
});

test('frames survive being cut anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.uint8Array({ maxLength: 50 })), { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
      async (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(([channel, payload]) => encodeFrame(channel, payload)));
        const chunks: Buffer[] = [];
        for (let at = 0, index = 0; at < bytes.length; index++) {
          const length = cuts[index % cuts.length] as number;
          chunks.push(bytes.subarray(at, at + length));
          at += length;
        }
        const decoded = await decode(chunks);
        assert.deepEqual(
          decoded.map(({ channel, payload }) => [channel, new Uint8Array(payload)]),
          frames,
        );
      },
    ),
    { numRuns: 50 },
  );
});

test('a frame over the limit is refused before it is read', async () => {
  await assert.rejects(decode([Buffer.from('7fffffff00', 'hex')]), /2147483647 bytes, the limit is 1048576/);
});

test('a connection that closes inside a frame is an error', async () => {
  await assert.rejects(decode([encodeFrame(1, Buffer.from('hello')).subarray(0, 7)]), /closed in the middle/);
});

test('a message that is not an object is refused', async () => {
  const [frame] = await decode([encodeMessage([1])]);
  assert.throws(() => parseMessage(frame as Frame), /not an object/);
});
