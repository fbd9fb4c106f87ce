import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { HostComputeNetwork, NetworkPolicy } from '@hcsshim/schema/hcn';
import { addNetworkPolicies, removeNetworkPolicies } from '../policies.ts';
import { networkByName, queryFor } from '../queries.ts';
import { assertFails, assertSameIds, lend, lendNetwork, unknownId } from './expectations.ts';
import type { NetworkContractTest } from './index.ts';

export const networks: Record<string, NetworkContractTest> = {
  async 'create, open, enumerate and a search by name agree about a network'(harness) {
    const { networks } = harness.network;
    const name = harness.name('agree');
    await using network = await lendNetwork(harness, name);
    assert.equal(network.document.Name, name);
    assert.equal(network.document.Type, harness.document(name).Type ?? 'NAT');
    assert.deepEqual(await networks.open(network.id), network.document);
    assert.deepEqual(await networks.open(network.id.toUpperCase()), network.document);
    assert.deepEqual(await networkByName(harness.network, name), network.document);
    const all = await networks.enumerate();
    assert.deepEqual(
      all.find(({ ID }) => ID === network.id),
      network.document,
    );
    assertSameIds(
      (await networks.enumerate(queryFor({ Name: name }))).map(({ ID }) => ID),
      [network.id],
    );
    assert.deepEqual(await networks.enumerate(queryFor({ Name: harness.name('other') })), []);
  },

  async 'a network keeps the id that its document has'(harness) {
    const id = randomUUID();
    await using network = await lend(harness.network.networks, {
      ...harness.document(harness.name('own id')),
      ID: id,
    });
    assertSameIds([network.id], [id]);
  },

  async 'a name or an id that is taken is refused, and the first network stays'(harness) {
    const { networks } = harness.network;
    const name = harness.name('taken');
    await using network = await lendNetwork(harness, name);
    await assertFails(networks.create(harness.document(name)), 'HCN_E_NETWORK_ALREADY_EXISTS');
    const sameId = { ...harness.document(harness.name('other')), ID: network.id };
    await assertFails(networks.create(sameId), 'HCN_E_NETWORK_ALREADY_EXISTS', network.id);
    assert.deepEqual(await networks.open(network.id), network.document);
  },

  async 'of creates with one name at the same time, one succeeds'(harness) {
    const { networks } = harness.network;
    const name = harness.name('race');
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => networks.create(harness.document(name))),
    );
    const created = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    assert.equal(created.length, 1);
    for (const { ID } of created) await networks.delete(ID);
  },

  async 'a document with a mistake is refused with the field, and nothing is created'(harness) {
    const { networks } = harness.network;
    const name = harness.name('mistake');
    const wrong: [object, path: string][] = [
      [{ Polices: [] }, 'Polices'],
      [{ Type: 'Wire' }, 'Type'],
      [{ Flags: '8' }, 'Flags'],
      [{ Policies: [{ Type: 'VxlanPort', Settings: { Port: 70_000 } }] }, 'Policies[0].Settings.Port'],
      [{ Ipams: [{ Subnets: [{ IpAddressPrefix: 7 }] }] }, 'Ipams[0].Subnets[0].IpAddressPrefix'],
    ];
    for (const [change, path] of wrong) {
      const document = { ...harness.document(name), ...change } as HostComputeNetwork;
      await assertFails(networks.create(document), 'HCS_E_INVALID_JSON', `"${path}"`);
    }
    await assertFails(networkByName(harness.network, name), 'HCN_E_NETWORK_NOT_FOUND', name);
  },

  async 'a subnet without a default gateway is refused'(harness) {
    const document = harness.document(harness.name('no gateway'));
    const Ipams = [{ Type: 'Static' as const, Subnets: [{ IpAddressPrefix: '10.9.0.0/24' }] }];
    await assertFails(
      harness.network.networks.create({ ...document, Ipams }),
      'HCN_E_INVALID_SUBNET',
      '10.9.0.0/24',
      'default gateway',
    );
  },

  async 'policies come to a network and go'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('policies'));
    const dns: NetworkPolicy = { Type: 'AutomaticDNS', Settings: { Enable: true } };
    const set: NetworkPolicy = {
      Type: 'SetPolicy',
      Settings: { Id: '1', Name: 'set', PolicyType: 'IPSET', Values: '10.0.0.9' },
    };
    const before = (await service.networks.open(network.id)).Policies ?? [];
    const types = async () =>
      ((await service.networks.open(network.id)).Policies ?? []).slice(before.length).map(({ Type }) => Type);
    await addNetworkPolicies(service, network.id, [dns, set]);
    assert.deepEqual(await types(), ['AutomaticDNS', 'SetPolicy']);
    await assertFails(addNetworkPolicies(service, network.id, [dns]), 'HCN_E_POLICY_ALREADY_EXISTS');
    await removeNetworkPolicies(service, network.id, [dns]);
    assert.deepEqual(await types(), ['SetPolicy']);
    await assertFails(removeNetworkPolicies(service, network.id, [dns]), 'HCN_E_POLICY_NOT_FOUND');
    const wrong = { Type: 'AutomaticDNS', Settings: { Enable: 'yes' } } as unknown as NetworkPolicy;
    await assertFails(addNetworkPolicies(service, network.id, [wrong]), 'HCS_E_INVALID_JSON', 'Enable');
  },

  async 'a modification gives the document as it is then'(harness) {
    await using network = await lendNetwork(harness, harness.name('dns'));
    const Dns = { Domain: 'example.com', ServerList: ['10.0.0.53'] };
    const changed = await harness.network.networks.modify(network.id, {
      ResourceType: 'DNS',
      RequestType: 'Update',
      Settings: Dns,
    });
    assert.deepEqual(changed.Dns, Dns);
    assert.deepEqual(await harness.network.networks.open(network.id), changed);
    await harness.network.networks.modify(network.id, { ResourceType: 'DNS', RequestType: 'Refresh' });
  },

  async 'a network that was deleted, or never was, is not found'(harness) {
    const { networks } = harness.network;
    await using network = await lendNetwork(harness, harness.name('gone'));
    await networks.delete(network.id);
    for (const id of [network.id, unknownId]) {
      await assertFails(networks.open(id), 'HCN_E_NETWORK_NOT_FOUND', id);
      await assertFails(networks.delete(id), 'HCN_E_NETWORK_NOT_FOUND', id);
      const request = { ResourceType: 'DNS', RequestType: 'Refresh' } as const;
      await assertFails(networks.modify(id, request), 'HCN_E_NETWORK_NOT_FOUND', id);
    }
  },
};
