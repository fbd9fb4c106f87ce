import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IdleWatch } from './idle-watch.ts';

test('a shim without connections and tasks is idle after a while, not before', async () => {
  let empty = false;
  let ended = 0;
  const watch = new IdleWatch(
    () => empty,
    () => ended++,
    20,
  );
  const connection = new Socket();
  watch.watch(connection);
  await sleep(60);
  assert.equal(ended, 0, 'a connection keeps it');
  connection.destroy();
  await sleep(60);
  assert.equal(ended, 0, 'a task keeps it');
  empty = true;
  while (ended === 0) await sleep(5);
  await sleep(60);
  assert.equal(ended, 1);
});
