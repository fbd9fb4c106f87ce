import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectVsock } from './vsock.ts';

test('a connection that nobody can answer fails with the address in the message', async () => {
  // ENODEV without a device, EAFNOSUPPORT without the module, else refused or timed out.
  await assert.rejects(connectVsock(2, 0x7ffffff0), {
    name: 'SystemCallError',
    message: /vsock 2:2147483632/,
  });
});

test('a connect whose signal has aborted does not start', async () => {
  await assert.rejects(connectVsock(2, 1, { signal: AbortSignal.abort(new Error('no')) }), /no/);
});
