import assert from 'node:assert/strict';
import type { EndpointPolicy } from '@hcsshim/schema/hcn';
import { EndpointFlags } from '../flags.ts';
import { applyEndpointPolicies } from '../policies.ts';
import { endpointByName, endpointsOfNetwork } from '../queries.ts';
import { assertFails, assertSameIds, lendEndpoint, lendNetwork, unknownId } from './expectations.ts';
import type { NetworkContractTest } from './index.ts';

const acl = (Priority: number): EndpointPolicy => ({
  Type: 'ACL',
  Settings: { Action: 'Block', Direction: 'In', Priority, Protocols: '6' },
});

export const endpoints: Record<string, NetworkContractTest> = {
  async 'an endpoint belongs to its network, and gets an address of its own there'(harness) {
    await using network = await lendNetwork(harness, harness.name('addresses'));
    await using one = await lendEndpoint(harness, network.id);
    await using other = await lendEndpoint(harness, network.id);
    assertSameIds([one.document.HostComputeNetwork], [network.id]);
    for (const { document } of [one, other]) {
      assert.match(document.MacAddress ?? '', /^([0-9A-F]{2}-){5}[0-9A-F]{2}$/i);
      assert.ok(document.IpConfigurations?.[0]?.IpAddress);
    }
    assert.notEqual(one.document.MacAddress, other.document.MacAddress);
    assert.notDeepEqual(one.document.IpConfigurations, other.document.IpConfigurations);
    assert.deepEqual(await harness.network.endpoints.open(one.id), one.document);
  },

  async 'the endpoints of a network are told from those of others'(harness) {
    await using first = await lendNetwork(harness, harness.name('first'));
    await using second = await lendNetwork(harness, harness.name('second'));
    await using a = await lendEndpoint(harness, first.id);
    await using b = await lendEndpoint(harness, first.id);
    await using c = await lendEndpoint(harness, second.id);
    const idsOf = async (id: string) => (await endpointsOfNetwork(harness.network, id)).map(({ ID }) => ID);
    assertSameIds(await idsOf(first.id), [a.id, b.id]);
    assertSameIds(await idsOf(second.id), [c.id]);
    assert.deepEqual(await idsOf(unknownId), []);
  },

  async 'an endpoint is found by its name'(harness) {
    const Name = harness.name('named');
    await using network = await lendNetwork(harness, harness.name('names'));
    await using endpoint = await lendEndpoint(harness, network.id, { Name });
    assert.deepEqual(await endpointByName(harness.network, Name), endpoint.document);
    await harness.network.endpoints.delete(endpoint.id);
    await assertFails(endpointByName(harness.network, Name), 'HCN_E_ENDPOINT_NOT_FOUND', Name);
  },

  async 'a remote endpoint keeps its flag and the address it was given'(harness) {
    await using network = await lendNetwork(harness, harness.name('remote'));
    const IpConfigurations = [{ IpAddress: '10.0.0.77', PrefixLength: 24 }];
    const Flags = EndpointFlags.RemoteEndpoint;
    await using endpoint = await lendEndpoint(harness, network.id, { Flags, IpConfigurations });
    assert.equal((endpoint.document.Flags ?? 0) & Flags, Flags);
    assert.deepEqual(endpoint.document.IpConfigurations, IpConfigurations);
  },

  async 'an endpoint without a network, or in one that is not there, is refused'(harness) {
    const { endpoints } = harness.network;
    await assertFails(endpoints.create({}), 'HCN_E_INVALID_ENDPOINT', 'HostComputeNetwork');
    await assertFails(endpoints.create({ HostComputeNetwork: unknownId }), 'HCN_E_NETWORK_NOT_FOUND');
    const inNamespace = { HostComputeNetwork: unknownId, HostComputeNamespace: unknownId };
    await assertFails(endpoints.create(inNamespace), 'HCN_E_INVALID_ENDPOINT', 'read-only');
    await assertFails(
      endpoints.create({ HostComputeNetwork: 'nat' }),
      'HCS_E_INVALID_JSON',
      'HostComputeNetwork',
    );
  },

  async 'policies of an endpoint are added, replaced and removed'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('rules'));
    await using endpoint = await lendEndpoint(harness, network.id, { Policies: [acl(1)] });
    const priorities = async () =>
      ((await service.endpoints.open(endpoint.id)).Policies ?? []).map(
        ({ Settings }) => (Settings as { Priority: number }).Priority,
      );
    await applyEndpointPolicies(service, endpoint.id, 'Add', [acl(2)]);
    assert.deepEqual(await priorities(), [1, 2]);
    await applyEndpointPolicies(service, endpoint.id, 'Update', [acl(3), acl(4)]);
    assert.deepEqual(await priorities(), [3, 4]);
    await applyEndpointPolicies(service, endpoint.id, 'Remove', [acl(3)]);
    assert.deepEqual(await priorities(), [4]);
    const wrong = { Type: 'ACL', Settings: { Action: 'Maybe' } } as unknown as EndpointPolicy;
    await assertFails(
      applyEndpointPolicies(service, endpoint.id, 'Add', [wrong]),
      'HCS_E_INVALID_JSON',
      'Action',
    );
  },

  async 'an endpoint that was deleted, or never was, is not found'(harness) {
    const { endpoints } = harness.network;
    await using network = await lendNetwork(harness, harness.name('without'));
    await using endpoint = await lendEndpoint(harness, network.id);
    await endpoints.delete(endpoint.id);
    for (const id of [endpoint.id, unknownId]) {
      await assertFails(endpoints.open(id), 'HCN_E_ENDPOINT_NOT_FOUND', id);
      await assertFails(endpoints.delete(id), 'HCN_E_ENDPOINT_NOT_FOUND', id);
    }
  },
};
