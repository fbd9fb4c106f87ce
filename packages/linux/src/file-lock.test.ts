import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileLock } from './file-lock.ts';

function lockPath(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'file-lock-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'lock');
}

test('a lock has one holder at a time, and all who wait get it', async (t) => {
  const path = lockPath(t);
  let holders = 0;
  const seen: number[] = [];
  const work = async (): Promise<void> => {
    using _lock = await FileLock.acquire(path);
    seen.push(++holders);
    await new Promise((resolve) => setTimeout(resolve, 5));
    holders--;
  };
  await Promise.all(Array.from({ length: 5 }, work));
  assert.deepEqual(seen, [1, 1, 1, 1, 1]);
  assert.equal(existsSync(path), false);
});

test('waiting for a lock ends with the signal', async (t) => {
  const path = lockPath(t);
  using _lock = await FileLock.acquire(path);
  await assert.rejects(FileLock.acquire(path, { signal: AbortSignal.timeout(10) }), /timeout/);
});

test('the lock of a killed process is free', async (t) => {
  const path = lockPath(t);
  const source = `import { FileLock } from ${JSON.stringify(new URL('./file-lock.ts', import.meta.url).href)};
    await FileLock.acquire(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const acquiring = FileLock.acquire(path);
  holder.kill('SIGKILL');
  using _lock = await acquiring;
});

test('processes that come and go exclude each other', async (t) => {
  const path = lockPath(t);
  const log = `${path}.log`;
  const source = `import { appendFileSync } from 'node:fs';
    import { FileLock } from ${JSON.stringify(new URL('./file-lock.ts', import.meta.url).href)};
    for (let round = 0; round < 40; round++) {
      using _lock = await FileLock.acquire(${JSON.stringify(path)});
      appendFileSync(${JSON.stringify(log)}, 'in ');
      await new Promise((resolve) => setTimeout(resolve, 1));
      appendFileSync(${JSON.stringify(log)}, 'out ');
    }`;
  const holders = Array.from({ length: 3 }, () =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source], {
      stdio: 'inherit',
    }),
  );
  for (const [code] of await Promise.all(holders.map((holder) => once(holder, 'exit'))))
    assert.equal(code, 0);
  assert.equal(readFileSync(log, 'utf8'), 'in out '.repeat(120));
});

test('a link in its place is not followed', async (t) => {
  const path = lockPath(t);
  writeFileSync(`${path}.target`, '');
  symlinkSync(`${path}.target`, path);
  await assert.rejects(FileLock.acquire(path), { code: 'ELOOP' });
});
