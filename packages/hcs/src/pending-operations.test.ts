import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingOperations, pendingInWords } from './pending-operations.ts';

test('operations are listed by system, oldest first, until their work has settled', async () => {
  const pending = new PendingOperations();
  const start = Promise.withResolvers<void>();
  const pause = Promise.withResolvers<void>();
  pending.track('x', 'start compute system "x"', start.promise);
  pending.track('y', 'start compute system "y"', new Promise(() => {}));
  pending.track('x', 'pause compute system "x"', pause.promise);
  assert.deepEqual(pending.list('x'), [
    'start compute system "x" (for 0 s)',
    'pause compute system "x" (for 0 s)',
  ]);
  start.reject(new Error('refused'));
  await Promise.allSettled([start.promise]);
  assert.deepEqual(pending.list('x'), ['pause compute system "x" (for 0 s)']);
  pause.resolve();
  await pause.promise;
  assert.deepEqual(pending.list('x'), []);
});

test('in words they are few and short', () => {
  assert.equal(pendingInWords([]), '');
  assert.equal(pendingInWords(['a', 'b']), '; pending on it: a, b');
  const words = pendingInWords(Array.from({ length: 1000 }, () => 'x'.repeat(1000)));
  assert.match(words, /, and 992 more$/);
  assert.ok(words.length < 2000, `${words.length} characters`);
});
