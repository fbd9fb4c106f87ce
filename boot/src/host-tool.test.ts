import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHostTool } from './host-tool.ts';

test('a program that is missing is named with its Debian package', async () => {
  await assert.rejects(
    runHostTool('xz', [], { action: 'Cannot unpack it', env: { PATH: '/nonexistent' } }),
    /^Error: Cannot unpack it: the program "xz" is missing, install the Debian package "xz-utils"$/,
  );
});

test('a program that fails is quoted', async () => {
  await assert.rejects(
    runHostTool('dpkg-deb', ['--fsys-tarfile', '/nonexistent.deb'], { action: 'Cannot unpack it' }),
    /^Error: Cannot unpack it: "dpkg-deb" ended with 2, .*nonexistent\.deb/,
  );
});

test('a call that is given up rejects with the reason', async () => {
  const reason = new Error('enough');
  await assert.rejects(
    runHostTool('dpkg-deb', ['--help'], { action: 'Cannot help', signal: AbortSignal.abort(reason) }),
    reason,
  );
});
