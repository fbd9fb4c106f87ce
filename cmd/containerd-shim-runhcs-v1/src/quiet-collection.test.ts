import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectWhenQuiet } from './quiet-collection.ts';

test('garbage is collected once after each stretch of work', async () => {
  let collections = 0;
  const collect = (() => {
    collections++;
  }) as unknown as NonNullable<typeof globalThis.gc>;
  collectWhenQuiet(collect, 50);
  while (collections < 1) await sleep(5);
  for (const end = performance.now() + 100; performance.now() < end; );
  await sleep(60);
  while (collections < 2) await sleep(5);
  await sleep(300);
  assert.ok(collections <= 3, `nothing was to be collected, but ${collections} times it was`);
});
