import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { JsonLineDecoder, JsonLineError } from './json-lines.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('JSON lines', () => {
  test('come out the same however the stream is cut', () => {
    const objects = fc.array(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean())));
    fc.assert(
      fc.property(objects, fc.array(fc.integer({ min: 1, max: 40 })), (sent, cuts) => {
        const stream = bytes(sent.map((object) => `${JSON.stringify(object)}\r\n`).join('\n'));
        const decoder = new JsonLineDecoder(1 << 20);
        const received: unknown[] = [];
        let position = 0;
        for (const length of [...cuts, stream.length]) {
          received.push(...decoder.push(stream.subarray(position, position + length)));
          position += length;
        }
        assert.deepEqual(received, JSON.parse(JSON.stringify(sent)));
      }),
    );
  });

  test('never fail but with a JsonLineError, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (pieces) => {
        const decoder = new JsonLineDecoder(100);
        try {
          for (const piece of pieces) decoder.push(piece);
        } catch (error) {
          assert.ok(error instanceof JsonLineError);
        }
      }),
    );
  });

  test('that are too long are refused before their end has come', () => {
    const decoder = new JsonLineDecoder(10);
    decoder.push(bytes('{"a":'));
    assert.throws(() => decoder.push(bytes('"0123456789')), /longer than 10 bytes/);
  });

  test('that are JSON but no object are refused', () => {
    assert.throws(() => new JsonLineDecoder(10).push(bytes('[]\n')), /not an object/);
    assert.throws(() => new JsonLineDecoder(10).push(bytes('{\n')), /not JSON/);
  });
});
