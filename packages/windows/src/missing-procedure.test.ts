import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bind } from './bind.ts';
import { computecore } from './dlls/index.ts';
import { windowsBuild } from './windows-build.ts';

test('where there is no Windows, a call says what it needs', { skip: process.platform === 'win32' }, () => {
  assert.equal(windowsBuild(), undefined);
  assert.throws(() => bind(computecore).HcsWaitForProcessExit, {
    code: 'ERR_MISSING_PROCEDURE',
    neededBuild: 20348,
    message: `Cannot call "HcsWaitForProcessExit" of "computecore.dll": this is ${process.platform}, it needs Windows build 20348 or newer`,
  });
});
