import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { NamedLock } from './named-lock.ts';

const name = `test ${process.pid}`;

test('a lock has one holder at a time, and all who wait get it', async () => {
  let holders = 0;
  const seen: number[] = [];
  const work = async (): Promise<void> => {
    await using _lock = await NamedLock.acquire(name, {});
    seen.push(++holders);
    await new Promise((resolve) => setTimeout(resolve, 5));
    holders--;
  };
  await Promise.all(Array.from({ length: 5 }, work));
  assert.deepEqual(seen, [1, 1, 1, 1, 1]);
});

test('waiting for a lock ends with the signal', async () => {
  await using _lock = await NamedLock.acquire(name, {});
  await assert.rejects(NamedLock.acquire(name, { signal: AbortSignal.timeout(10) }), /timeout/);
});

test('the lock of a killed process is free', async (t) => {
  const source = `import { NamedLock } from ${JSON.stringify(new URL('./named-lock.ts', import.meta.url).href)};
    await NamedLock.acquire(${JSON.stringify(name)}, {}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const acquiring = NamedLock.acquire(name, {});
  holder.kill('SIGKILL');
  await using _lock = await acquiring;
});
