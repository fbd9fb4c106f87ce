import assert from 'node:assert/strict';
import {
  attachEndpoint,
  detachEndpoint,
  namespaceContainerIds,
  namespaceEndpointIds,
} from '../namespaces.ts';
import {
  assertFails,
  assertSameIds,
  lendEndpoint,
  lendNamespace,
  lendNetwork,
  unknownId,
} from './expectations.ts';
import type { NetworkContractTest } from './index.ts';

export const namespaces: Record<string, NetworkContractTest> = {
  async 'endpoints come to a namespace and go, and both sides agree about it'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('attach'));
    await using one = await lendEndpoint(harness, network.id);
    await using other = await lendEndpoint(harness, network.id);
    await using namespace = await lendNamespace(harness);
    assert.equal(namespace.document.Type, 'Host');
    assert.deepEqual(await namespaceEndpointIds(service, namespace.id), []);
    await attachEndpoint(service, namespace.id, one.id);
    await attachEndpoint(service, namespace.id, other.id);
    assertSameIds(await namespaceEndpointIds(service, namespace.id), [one.id, other.id]);
    assertSameIds([(await service.endpoints.open(one.id)).HostComputeNamespace], [namespace.id]);
    await detachEndpoint(service, namespace.id, one.id);
    assertSameIds(await namespaceEndpointIds(service, namespace.id), [other.id]);
    assert.equal((await service.endpoints.open(one.id)).HostComputeNamespace, undefined);
  },

  async 'an endpoint is in one namespace at a time'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('one'));
    await using endpoint = await lendEndpoint(harness, network.id);
    await using first = await lendNamespace(harness);
    await using second = await lendNamespace(harness);
    await attachEndpoint(service, first.id, endpoint.id);
    await assertFails(
      attachEndpoint(service, second.id, endpoint.id),
      'HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS',
      second.id,
    );
    await assertFails(detachEndpoint(service, second.id, endpoint.id), 'ERROR_NOT_FOUND');
    assertSameIds(await namespaceEndpointIds(service, first.id), [endpoint.id]);
  },

  async 'a namespace that is deleted lets its endpoints go, and a deleted endpoint leaves'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('leave'));
    await using one = await lendEndpoint(harness, network.id);
    await using other = await lendEndpoint(harness, network.id);
    await using namespace = await lendNamespace(harness);
    await attachEndpoint(service, namespace.id, one.id);
    await attachEndpoint(service, namespace.id, other.id);
    await service.endpoints.delete(other.id);
    assertSameIds(await namespaceEndpointIds(service, namespace.id), [one.id]);
    await service.namespaces.delete(namespace.id);
    assert.equal((await service.endpoints.open(one.id)).HostComputeNamespace, undefined);
  },

  async 'containers of a namespace are told from its endpoints'(harness) {
    const service = harness.network;
    await using namespace = await lendNamespace(harness);
    const request = { ResourceType: 'Container', Settings: { ContainerId: 'c1' } } as const;
    await service.namespaces.modify(namespace.id, { ...request, RequestType: 'Add' });
    assert.deepEqual(await namespaceContainerIds(service, namespace.id), ['c1']);
    assert.deepEqual(await namespaceEndpointIds(service, namespace.id), []);
    await service.namespaces.modify(namespace.id, { ...request, RequestType: 'Remove' });
    assert.deepEqual(await namespaceContainerIds(service, namespace.id), []);
  },

  async 'an unknown endpoint or namespace is not found'(harness) {
    const service = harness.network;
    await using namespace = await lendNamespace(harness);
    await assertFails(attachEndpoint(service, namespace.id, unknownId), 'HCN_E_ENDPOINT_NOT_FOUND');
    await assertFails(attachEndpoint(service, namespace.id, 'eth0'), 'HCS_E_INVALID_JSON', 'EndpointId');
    await assertFails(attachEndpoint(service, unknownId, unknownId), 'ERROR_NOT_FOUND', unknownId);
    await assertFails(service.namespaces.open(unknownId), 'ERROR_NOT_FOUND', unknownId);
    await assertFails(service.namespaces.delete(unknownId), 'ERROR_NOT_FOUND', unknownId);
  },
};
