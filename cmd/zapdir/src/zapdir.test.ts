import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, usage } from './zapdir.ts';

const { signal } = new AbortController();

test('-help gives the usage', async () => {
  assert.equal(await run(['-help'], signal), usage);
});

test('it takes the directory as a flag, not as a word', async () => {
  await assert.rejects(run([], signal), { name: 'FlagError', message: 'Cannot start: --dir is missing' });
  await assert.rejects(run(['C:\\layer'], signal), {
    message: 'Cannot understand "C:\\layer": it is no flag',
  });
});

test('elsewhere than on Windows it says what it needs', { skip: process.platform === 'win32' }, async () => {
  await assert.rejects(run(['-dir', import.meta.dirname], signal), {
    message: `Cannot remove a layer on ${process.platform}: it needs Windows`,
  });
});
