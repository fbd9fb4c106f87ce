import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { createHnsClient } from '@hcsshim/hcn/windows';
import type { HNSEndpoint } from '@hcsshim/schema/hns';
import { vmcompute } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const hns = createHnsClient();

async function lendNetwork(name: string) {
  const { ID: id = '' } = await hns.networks.create({
    Name: name,
    Type: 'NAT',
    Subnets: [{ AddressPrefix: '172.20.0.0/16', GatewayAddress: '172.20.0.1' }],
  });
  return { id, [Symbol.asyncDispose]: () => hns.networks.delete(id) };
}

async function createEndpoint(network: string): Promise<HNSEndpoint & { ID: string }> {
  const endpoint = await hns.endpoints.create({ VirtualNetwork: network });
  assert.ok(endpoint.ID !== undefined);
  return { ...endpoint, ID: endpoint.ID };
}

describe("HNS's first interface by HNSCall", () => {
  afterEach(() => assertNothingLeakedFrom(ledgerOf(vmcompute.file)));

  test('tells its version', async () => {
    assert.deepEqual(await hns.version(), { Major: 15, Minor: 4 });
  });

  test('networks are found by id and by name, in any script, until they are deleted', async () => {
    const name = 'Büro 網路 \u{1f310}';
    {
      await using network = await lendNetwork(name);
      assert.equal((await hns.networks.get(network.id.toLowerCase())).Name, name);
      assert.equal((await hns.networks.getByName(name)).ID, network.id);
    }
    assert.deepEqual(await hns.networks.list(), []);
    await assert.rejects(hns.networks.getByName(name), { code: 'HCN_E_NETWORK_NOT_FOUND' });
  });

  test('failures have the code and the words of the service', async () => {
    await assert.rejects(hns.networks.get('00000000-0000-0000-0000-000000000000'), {
      code: 'HCN_E_NETWORK_NOT_FOUND',
      message: /: The network was not found, HCN_E_NETWORK_NOT_FOUND /,
    });
    await assert.rejects(hns.namespaces.endpointIds('none'), { code: 'ERROR_NOT_FOUND' });
    await assert.rejects(hns.request('POST', '/brew/'), { code: 'E_INVALIDARG' });
  });

  test('endpoints are attached and detached, have rules and statistics', async () => {
    await using network = await lendNetwork('endpoints');
    const { ID: id, IPAddress } = await createEndpoint(network.id);
    assert.match(String(IPAddress), /^172\.20\.0\.\d+$/);
    await hns.endpoints.attach(id, { to: 'container', containerId: 'c' });
    assert.equal(await hns.endpoints.isAttached(id, 'C'), true);
    await hns.endpoints.detach(id, { to: 'container', containerId: 'c' });
    assert.equal(await hns.endpoints.isAttached(id, 'c'), false);
    await hns.endpoints.applyAclPolicies(id, [{ Action: 'Block', Direction: 'In' }]);
    const { Policies } = await hns.endpoints.applyProxyPolicies(id, [{ Port: '80' }]);
    assert.deepEqual(Policies, [
      { Action: 'Block', Direction: 'In', Type: 'ACL' },
      { Port: '80', Type: 'PROXY' },
    ]);
    assert.equal((await hns.endpoints.stats(id)).EndpointId, id);
    await hns.endpoints.delete(id);
    await assert.rejects(hns.endpoints.get(id), { code: 'HCN_E_ENDPOINT_NOT_FOUND' });
  });

  test('namespaces and policy lists take endpoints', async () => {
    await using network = await lendNetwork('lists');
    const [{ ID: first }, { ID: second }] = [
      await createEndpoint(network.id),
      await createEndpoint(network.id),
    ];
    const namespace = await hns.namespaces.create();
    await hns.namespaces.addEndpoint(namespace, first);
    assert.deepEqual(await hns.namespaces.endpointIds(namespace), [first]);
    await hns.namespaces.removeEndpoint(namespace, first);
    assert.deepEqual(await hns.namespaces.endpointIds(namespace), []);
    await hns.namespaces.remove(namespace);
    const { ID: list = '' } = await hns.policyLists.addRoute([first], {
      DestinationPrefix: '10.0.0.0/8',
      NeedEncap: true,
    });
    const { References } = await hns.policyLists.addEndpoint(list, second);
    assert.deepEqual(References, [`/endpoints/${first}`, `/endpoints/${second}`]);
    await assert.rejects(hns.policyLists.addEndpoint(list, 'none'), { code: 'HCN_E_ENDPOINT_NOT_FOUND' });
    assert.equal((await hns.policyLists.removeEndpoint(list, first)).References?.length, 1);
    await hns.policyLists.delete(list);
  });

  test('management MAC addresses are set, read and deleted', async () => {
    const addresses = ['00-15-5D-00-00-01', '00-15-5D-00-00-02'];
    assert.deepEqual(await hns.managementMacs.set(addresses), addresses);
    assert.deepEqual(await hns.managementMacs.get(), addresses);
    assert.deepEqual(await hns.managementMacs.delete(), []);
    await assert.rejects(hns.managementMacs.set([]), { code: 'E_INVALIDARG', message: /the list is empty/ });
  });

  test('requests that are given up, and many at once, leave nothing open', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const given = hns.networks.list({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(given, (error) => error === reason);
    const versions = await Promise.all(Array.from({ length: 300 }, () => hns.version()));
    assert.ok(versions.every(({ Major }) => Major === 15));
  });
});
