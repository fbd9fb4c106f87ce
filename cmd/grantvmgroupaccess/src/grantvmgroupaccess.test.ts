import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, usage } from './grantvmgroupaccess.ts';

const { signal } = new AbortController();

test('-help gives the usage', async () => {
  assert.equal(await run(['-help'], signal), usage);
});

test('it takes one file', async () => {
  await assert.rejects(run(['-read'], signal), {
    name: 'FlagError',
    message: 'Cannot start: the file is missing',
  });
  await assert.rejects(run(['a', 'b'], signal), { message: 'Cannot understand "b": give one file' });
});

test('elsewhere than on Windows it says what it needs', { skip: process.platform === 'win32' }, async () => {
  await assert.rejects(run(['-all', import.meta.filename], signal), {
    message: `Cannot grant access to virtual machines on ${process.platform}: it needs Windows`,
  });
});
