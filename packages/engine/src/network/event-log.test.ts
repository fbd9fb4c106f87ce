import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkEvent } from '@hcsshim/hcn';
import { EventLog } from './event-log.ts';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'hcsshim-events-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!holds() && Date.now() < deadline) await sleep(5);
}

test('a watch hears what comes after it, in order, once each', async (t) => {
  const path = directory(t);
  const log = new EventLog(path);
  log.append('NetworkCreate', 'before');
  const told: NetworkEvent[] = [];
  await using _ = new EventLog(path).watch((event) => told.push(event));
  for (let number = 0; number < 20; number++) log.append('NamespaceCreate', String(number));
  await until(() => told.length === 20);
  assert.deepEqual(
    told.map(({ id }) => id),
    Array.from({ length: 20 }, (_, number) => String(number)),
  );
  assert.equal(log.lastOf('before'), 'NetworkCreate');
});

test('a log that has become long keeps its newer half, and watches lose nothing', async (t) => {
  const path = directory(t);
  const log = new EventLog(path);
  const told: NetworkEvent[] = [];
  await using _ = log.watch((event) => told.push(event));
  for (let number = 0; number < 3000; number++) {
    log.append('NamespaceCreate', `01234567-89ab-cdef-0123-${String(number).padStart(12, '0')}`);
    if (number % 100 === 0) await sleep(2);
  }
  await until(() => told.length === 3000);
  assert.equal(told.length, 3000);
  assert.ok(statSync(join(path, 'events')).size <= 128 * 1024);
});

test('a line that was broken off does not take the next one along', (t) => {
  const path = directory(t);
  const log = new EventLog(path);
  log.append('NetworkCreate', 'one');
  appendFileSync(join(path, 'events'), '{"sequence":2,"ty');
  log.append('NetworkDelete', 'one');
  assert.equal(log.lastOf('one'), 'NetworkDelete');
});

test('a listener that ends its watch hears nothing more', async (t) => {
  const path = directory(t);
  const log = new EventLog(path);
  const told: NetworkEvent[] = [];
  const watch = log.watch((event) => {
    told.push(event);
    void watch[Symbol.asyncDispose]();
  });
  for (const id of ['one', 'two']) log.append('NamespaceCreate', id);
  await until(() => told.length > 0);
  await sleep(50);
  assert.deepEqual(told, [{ type: 'NamespaceCreate', number: 5, id: 'one' }]);
});
