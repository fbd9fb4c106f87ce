import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HcsError, type HResultName } from '@hcsshim/schema';
import type { ComputeService, ComputeSystem } from '../compute-service.ts';
import { type HotAttachServices, hotAttachEndpoint, hotDetachEndpoint } from './hot-attach-endpoint.ts';

/** A container "web", and an endpoint "nic" that is attached to it or not. */
function stage(attached: boolean, refused?: HResultName): { services: HotAttachServices; calls: string[] } {
  const calls: string[] = [];
  const fail = (code: HResultName): never => {
    throw new HcsError({ action: 'Cannot', problem: 'it was told to fail', code });
  };
  const container = {
    modify: async (request: unknown) => {
      calls.push(JSON.stringify(request));
      if (refused) fail(refused);
    },
    [Symbol.asyncDispose]: async () => void calls.push('close'),
  } as unknown as ComputeSystem;
  const compute = {
    open: async (id: string) => (id === 'web' ? container : fail('HCS_E_SYSTEM_NOT_FOUND')),
  } as unknown as ComputeService;
  const endpoints = {
    isAttached: async (id: string) => (id === 'nic' ? attached : fail('HCN_E_ENDPOINT_NOT_FOUND')),
  };
  return { services: { compute, endpoints }, calls };
}

const request = (type: string): string =>
  JSON.stringify({ ResourceType: 'Network', RequestType: type, Settings: 'nic' });

test('an endpoint is attached by a request of schema 1, and the container closed', async () => {
  const { services, calls } = stage(false);
  await hotAttachEndpoint(services, 'web', 'nic');
  assert.deepEqual(calls, [request('Add'), 'close']);
});

test('an endpoint is detached', async () => {
  const { services, calls } = stage(true);
  await hotDetachEndpoint(services, 'web', 'nic');
  assert.deepEqual(calls, [request('Remove'), 'close']);
});

test('what is as it should be is left alone', async () => {
  for (const [change, attached] of [
    [hotAttachEndpoint, true],
    [hotDetachEndpoint, false],
  ] as const) {
    const { services, calls } = stage(attached);
    await change(services, 'web', 'nic');
    assert.deepEqual(calls, []);
  }
});

test('a container or an endpoint that does not exist has its code', async () => {
  const { services } = stage(false);
  await assert.rejects(hotAttachEndpoint(services, 'db', 'nic'), { code: 'HCS_E_SYSTEM_NOT_FOUND' });
  await assert.rejects(hotAttachEndpoint(services, 'web', 'other'), { code: 'HCN_E_ENDPOINT_NOT_FOUND' });
});

test('whatever code says that the platform cannot, the error is one', async () => {
  for (const code of [
    'HCS_E_INVALID_JSON',
    'ERROR_INVALID_DATA',
    'ERROR_NOT_SUPPORTED',
    'HCS_E_UNKNOWN_MESSAGE',
  ] as const) {
    const { services, calls } = stage(false, code);
    await assert.rejects(hotAttachEndpoint(services, 'web', 'nic'), {
      code: 'ERROR_NOT_SUPPORTED',
      message: /^Cannot attach endpoint "nic" to container "web": /,
    });
    assert.equal(calls.at(-1), 'close');
  }
  const { services } = stage(false, 'HCS_E_INVALID_STATE');
  await assert.rejects(hotAttachEndpoint(services, 'web', 'nic'), { code: 'HCS_E_INVALID_STATE' });
});
