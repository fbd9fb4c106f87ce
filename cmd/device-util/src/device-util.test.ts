import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, usage } from './device-util.ts';

const { signal } = new AbortController();

test('with no command or -help it gives the usage', async () => {
  for (const words of [[], ['--help'], ['h'], ['obj-dir', '-h'], ['children', '--help']]) {
    assert.equal(await run(words, signal), usage);
  }
});

test('a command line that cannot be understood is refused in words', async () => {
  const refused = (words: string[], message: string) =>
    assert.rejects(run(words, signal), { name: 'FlagError', message });
  await refused(['list'], 'Cannot understand "list": there is no command of this name');
  await refused(['obj-dir', '\\Device'], 'Cannot understand "\\Device": it is no flag');
  await refused(['children'], 'Cannot list children: --parentID is missing');
  await refused(
    ['children', '--parentID', 'a', '--property', 'name'],
    'Cannot list property "name": choose id or location',
  );
});

test('elsewhere than on Windows it says what it needs', { skip: process.platform === 'win32' }, async () => {
  const needsWindows = new RegExp(` on ${process.platform}: it needs Windows$`);
  await assert.rejects(run(['obj-dir'], signal), needsWindows);
  await assert.rejects(run(['children', '--parentID', 'a', '--property', 'location'], signal), needsWindows);
});
