import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { readLines } from './guest-log.ts';

async function linesOf(...chunks: (string | Uint8Array)[]): Promise<string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  readLines(stream, (line) => lines.push(line));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await once(stream, 'end');
  return lines;
}

test('lines come out whole, however they were cut', async () => {
  assert.deepEqual(await linesOf('a', 'b\nc\n', '\nd'), ['ab', 'c', 'd']);
});

test('a character that is cut between chunks survives', async () => {
  const euro = Buffer.from('€\n');
  assert.deepEqual(await linesOf(euro.subarray(0, 1), euro.subarray(1)), ['€']);
});

test('an endless line is cut, and the next one is read', async () => {
  const lines = await linesOf('x'.repeat(100_000), 'y'.repeat(100_000), '\nnext\n');
  assert.deepEqual(
    lines.map((line) => line.length),
    [64 * 1024, 4],
  );
});
