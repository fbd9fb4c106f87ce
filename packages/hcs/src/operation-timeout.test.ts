import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operationTimeout } from './operation-timeout.ts';

test('an operation may take four minutes, or the whole seconds that the environment says', () => {
  assert.equal(operationTimeout(undefined, {}), 240_000);
  assert.equal(operationTimeout('SYSTEMSTART', {}), 240_000);
  assert.equal(operationTimeout('SYSTEMSTART', { HCSSHIM_TIMEOUT_SYSTEMSTART: '7' }), 7000);
  assert.equal(operationTimeout('SYSTEMPAUSE', { HCSSHIM_TIMEOUT_SYSTEMSTART: '7' }), 240_000);
  for (const text of ['', '0', '-1', '1.5', '7s', '9999999'])
    assert.equal(operationTimeout('SYSTEMSTART', { HCSSHIM_TIMEOUT_SYSTEMSTART: text }), 240_000, text);
});
