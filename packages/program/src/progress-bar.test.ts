import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressBar } from './progress-bar.ts';

function drawnBy(total: number | undefined, bytes: number, isTTY = true, columns = 60): string[] {
  const drawn: string[] = [];
  {
    using bar = new ProgressBar('layer', total, { isTTY, columns, write: (text) => drawn.push(text) });
    bar.add(bytes);
  }
  return drawn;
}

test('a terminal sees the part that is done, and then an empty line', () => {
  const [line, end, ...more] = drawnBy(4096, 1024);
  const text = line!.slice('\r'.length, -'\x1b[K'.length);
  assert.match(text, /^layer {2}25% \[=+ +\] 1\.0 KiB$/);
  assert.ok(text.length < 60);
  assert.equal(end, '\r\x1b[K');
  assert.deepEqual(more, []);
});

test('without a total it says the bytes; on a narrow terminal the percentage alone', () => {
  assert.equal(drawnBy(undefined, 5)[0], '\rlayer 5 B\x1b[K');
  assert.equal(drawnBy(100, 100, true, 20)[0], '\rlayer 100%\x1b[K');
});

test('it is not drawn more often than can be read', () => {
  const drawn: string[] = [];
  using bar = new ProgressBar('layer', undefined, { isTTY: true, write: (text) => drawn.push(text) });
  for (let count = 0; count < 1000; count++) bar.add(1);
  assert.ok(drawn.length < 20);
});

test('what is no terminal gets nothing', () => {
  assert.deepEqual(drawnBy(4096, 1024, false), []);
});
