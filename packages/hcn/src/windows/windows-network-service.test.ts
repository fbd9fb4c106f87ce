import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCallbackRoutes } from '@hcsshim/windows';
import { createHnsClient } from './hns-client.ts';
import { createWindowsNetworkService } from './windows-network-service.ts';

const missing = { code: 'ERROR_PROC_NOT_FOUND', message: /it needs Windows build 17763 or newer/ };

test('elsewhere than on Windows every call says what it needs', {
  skip: process.platform === 'win32',
}, async () => {
  const network = createWindowsNetworkService();
  await assert.rejects(network.networks.enumerate(), missing);
  await assert.rejects(network.namespaces.create({ Type: 'Host' }), missing);
  await assert.rejects(
    network.watch(() => {}),
    missing,
  );
  assert.equal(openCallbackRoutes(), 0);
  await assert.rejects(network.version(), {
    code: 'ERROR_PROC_NOT_FOUND',
    message: /"HNSCall" of "vmcompute.dll"/,
  });
  await assert.rejects(createHnsClient().networks.list(), { code: 'ERROR_PROC_NOT_FOUND' });
});
