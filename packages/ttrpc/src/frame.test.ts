import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FrameDecoder, FrameFlag, FrameType, frameHeaderLength, writeFrameHeader } from './frame.ts';
import { messageLimit } from './limit.ts';
import { bytes, frame } from './testing/peers.ts';

type Seen = [
  what: 'frame' | 'oversized',
  streamId: number,
  type: number,
  rest: string | number,
  flags?: number,
];

function decode(chunks: Iterable<Buffer>, limit = messageLimit): { seen: Seen[]; atBoundary: boolean } {
  const seen: Seen[] = [];
  const decoder = new FrameDecoder(
    {
      frame: (streamId, type, flags, body) =>
        seen.push(['frame', streamId, type, body.toString('hex'), flags]),
      oversized: (streamId, type, length) => seen.push(['oversized', streamId, type, length]),
    },
    limit,
  );
  for (const chunk of chunks) decoder.push(chunk);
  return { seen, atBoundary: decoder.atBoundary };
}

describe('a frame on the wire', () => {
  test('has length, stream id, type and flags in ten bytes, then its data', () => {
    const wire = bytes('00000003', '00000005', '03', '01', 'aabbcc');
    const header = Buffer.alloc(frameHeaderLength);
    writeFrameHeader(header, 3, 5, FrameType.data, FrameFlag.remoteClosed);
    assert.deepEqual(header, wire.subarray(0, 10));
    assert.deepEqual(decode([wire]), { seen: [['frame', 5, 3, 'aabbcc', 1]], atBoundary: true });
  });

  test('uses all 32 bits of a stream id', () => {
    assert.deepEqual(decode([bytes('00000000 ffffffff 02 00')]).seen, [['frame', 0xffffffff, 2, '', 0]]);
  });

  test('with no data comes as an empty body, whatever follows it', () => {
    const wire = bytes('00000000 00000001 03 05', '00000001 00000003 02 00 7f');
    assert.deepEqual(decode([wire]).seen, [
      ['frame', 1, 3, '', 5],
      ['frame', 3, 2, '7f', 0],
    ]);
  });
});

describe('the limit', () => {
  test('lets a frame of exactly its size pass', () => {
    const { seen } = decode([frame(1, 1, 0, Buffer.alloc(messageLimit, 7))]);
    assert.equal(seen[0]?.[0], 'frame');
  });

  test('skips the data of a larger frame and finds the next one', () => {
    const wire = Buffer.concat([
      frame(1, 1, 0, Buffer.alloc(messageLimit + 1)),
      bytes('00000001 00000003 01 00 2a'),
    ]);
    assert.deepEqual(decode([wire]), {
      seen: [
        ['oversized', 1, 1, messageLimit + 1],
        ['frame', 3, 1, '2a', 0],
      ],
      atBoundary: true,
    });
  });

  test('allocates nothing for a frame that announces 4 GiB', () => {
    const before = process.memoryUsage().arrayBuffers;
    const { seen, atBoundary } = decode([bytes('ffffffff 00000001 01 00')]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
    assert.deepEqual(seen, [['oversized', 1, 1, 0xffffffff]]);
    assert.equal(atBoundary, false);
  });
});

test('the end of the stream is clean only between two frames', () => {
  const wire = bytes('00000002 00000001 01 00 aabb');
  for (let cut = 1; cut < wire.length; cut++)
    assert.equal(decode([wire.subarray(0, cut)]).atBoundary, false, `after ${cut} bytes`);
  assert.equal(decode([wire]).atBoundary, true);
});

test('a body inside one chunk is a view of it, one that spans chunks has a buffer of its own', () => {
  const bodies: Buffer[] = [];
  const sink = {
    frame: (_id: number, _type: number, _flags: number, body: Buffer) => bodies.push(body),
    oversized() {},
  };
  const decoder = new FrameDecoder(sink, messageLimit);
  const wire = Buffer.from(frame(1, 1, 0, Buffer.from('whole')));
  decoder.push(wire);
  decoder.push(wire.subarray(0, 12));
  decoder.push(wire.subarray(12));
  assert.deepEqual(bodies.map(String), ['whole', 'whole']);
  assert.equal(bodies[0]?.buffer, wire.buffer);
  assert.equal(bodies[1]?.buffer.byteLength, 5);
});

test('frames decode alike wherever the stream is cut', () => {
  const limit = 40;
  const frames = fc.array(
    fc.record({
      streamId: fc.nat(0xffffffff),
      type: fc.nat(255),
      flags: fc.nat(255),
      body: fc.uint8Array({ maxLength: limit + 10 }),
    }),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(frames, fc.array(fc.nat(30), { maxLength: 60 }), (sent, steps) => {
      const wire = Buffer.concat(
        sent.map(({ streamId, type, flags, body }) => frame(streamId, type, flags, body)),
      );
      const expected: Seen[] = sent.map(({ streamId, type, flags, body }) =>
        body.length > limit
          ? ['oversized', streamId, type, body.length]
          : ['frame', streamId, type, Buffer.from(body).toString('hex'), flags],
      );
      assert.deepEqual(decode([wire], limit).seen, expected);
      assert.deepEqual(decode(cut(wire, steps), limit), { seen: expected, atBoundary: true });
      assert.deepEqual(decode(cut(wire, []), limit).seen, expected);
    }),
    { numRuns: 300 },
  );
});

/** The bytes in chunks of the given sizes, what is left one by one. */
function* cut(wire: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let position = 0;
  for (const size of sizes) {
    yield wire.subarray(position, position + size);
    position += size;
  }
  for (; position < wire.length; position++) yield wire.subarray(position, position + 1);
}
