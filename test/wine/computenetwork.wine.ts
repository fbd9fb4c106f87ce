import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bind,
  computenetwork,
  type Handle,
  listPortReservations,
  type Notification,
  PortAccess,
  PortProtocol,
  routeCallback,
} from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const hcn = bind(computenetwork);
const ledger = ledgerOf(computenetwork.file);
const query = JSON.stringify({ SchemaVersion: { Major: 2, Minor: 0 }, Flags: 0 });

function filtered(filter: object): string {
  return JSON.stringify({ ...JSON.parse(query), Filter: JSON.stringify(filter) });
}

async function makeNetwork(name: string): Promise<{ id: string; network: Handle<'HCN_NETWORK'> }> {
  const id = randomUUID();
  const settings = JSON.stringify({ Name: name, Type: 'L2Bridge' });
  const { network } = await hcn.HcnCreateNetwork({ id, settings });
  return { id, network };
}

async function makeEndpoint(
  network: Handle<'HCN_NETWORK'>,
): Promise<{ id: string; endpoint: Handle<'HCN_ENDPOINT'> }> {
  const id = randomUUID();
  const { endpoint } = await hcn.HcnCreateEndpoint({ network, id, settings: '{}' });
  return { id, endpoint };
}

function parsed(text: string | null): Record<string, unknown> {
  return JSON.parse(text ?? 'null') as Record<string, unknown>;
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 200; tries++) await sleep(10);
  assert.ok(holds());
}

describe('computenetwork.dll', { timeout: 60_000 }, () => {
  afterEach(() => assertNothingLeakedFrom(ledger));

  test('a network is made, found, changed, asked about and deleted', async () => {
    const { id, network } = await makeNetwork('wire');
    const { networks } = await hcn.HcnEnumerateNetworks({ query: filtered({ Name: 'wire' }) });
    assert.deepEqual(JSON.parse(networks ?? ''), [id.toUpperCase()]);
    const policy = { Type: 'AutomaticDNS', Settings: { Enable: true } };
    const settings = JSON.stringify({
      ResourceType: 'Policy',
      RequestType: 'Add',
      Settings: { Policies: [policy] },
    });
    await hcn.HcnModifyNetwork({ network, settings });
    const again = await hcn.HcnOpenNetwork({ id });
    const { properties, errorRecord } = await hcn.HcnQueryNetworkProperties({
      network: again.network,
      query,
    });
    assert.equal(errorRecord, null);
    assert.deepEqual(parsed(properties).Policies, [policy]);
    await hcn.HcnCloseNetwork({ network });
    await assert.rejects(hcn.HcnCloseNetwork({ network }), { hresult: 0x80070006 });
    await hcn.HcnDeleteNetwork({ id });
    await assert.rejects(hcn.HcnQueryNetworkProperties({ network: again.network, query }), {
      hresult: 0x803b0001,
      document: '{"Success":false,"Error":"The network was not found. ","ErrorCode":2151350273}',
    });
    await hcn.HcnCloseNetwork({ network: again.network });
    await assert.rejects(hcn.HcnOpenNetwork({ id }), { hresult: 0x803b0001 });
  });

  test('an endpoint belongs to a network, and to a namespace', async () => {
    const { id: networkId, network } = await makeNetwork('for endpoints');
    const { id, endpoint } = await makeEndpoint(network);
    await hcn.HcnCloseNetwork({ network });
    await assert.rejects(hcn.HcnCreateEndpoint({ network, id: randomUUID(), settings: '{}' }), {
      hresult: 0x80070006,
    });
    const namespaceId = randomUUID();
    const { namespace } = await hcn.HcnCreateNamespace({ id: namespaceId, settings: '{"Type":"Host"}' });
    const add = { ResourceType: 'Endpoint', RequestType: 'Add', Settings: { EndpointId: id } };
    await hcn.HcnModifyNamespace({ namespace, settings: JSON.stringify(add) });
    await assert.rejects(hcn.HcnModifyNamespace({ namespace, settings: JSON.stringify(add) }), {
      hresult: 0x803b002b,
    });
    const ofNamespace = await hcn.HcnQueryNamespaceProperties({ namespace, query });
    assert.deepEqual(parsed(ofNamespace.properties).Resources, [
      { Type: 'Endpoint', Data: { Id: id.toUpperCase() } },
    ]);
    const ofEndpoint = await hcn.HcnQueryEndpointProperties({ endpoint, query });
    assert.equal(parsed(ofEndpoint.properties).HostComputeNamespace, namespaceId.toUpperCase());
    await hcn.HcnCloseNamespace({ namespace });
    const { namespace: again } = await hcn.HcnOpenNamespace({ id: namespaceId });
    await hcn.HcnCloseNamespace({ namespace: again });
    const { namespaces } = await hcn.HcnEnumerateNamespaces({ query });
    assert.deepEqual(JSON.parse(namespaces ?? ''), [namespaceId.toUpperCase()]);
    await hcn.HcnDeleteNamespace({ id: namespaceId });
    const port = { ResourceType: 'Port', RequestType: 'Add', Settings: { VirtualNicName: 'nic' } };
    await hcn.HcnModifyEndpoint({ endpoint, settings: JSON.stringify(port) });
    await assert.rejects(hcn.HcnModifyEndpoint({ endpoint, settings: JSON.stringify(port) }), {
      hresult: 0x803b0014,
    });
    await hcn.HcnCloseEndpoint({ endpoint });
    const { endpoint: open } = await hcn.HcnOpenEndpoint({ id });
    await hcn.HcnCloseEndpoint({ endpoint: open });
    const { endpoints } = await hcn.HcnEnumerateEndpoints({
      query: filtered({ HostComputeNetwork: networkId }),
    });
    assert.deepEqual(JSON.parse(endpoints ?? ''), [id.toUpperCase()]);
    await assert.rejects(hcn.HcnDeleteNetwork({ id: networkId }), { hresult: 0x803b002c });
    await hcn.HcnDeleteEndpoint({ id });
    await hcn.HcnDeleteNetwork({ id: networkId });
  });

  test('load balancers and routes name endpoints that exist', async () => {
    const { id: networkId, network } = await makeNetwork('balanced');
    const { id: endpointId, endpoint } = await makeEndpoint(network);
    await hcn.HcnCloseEndpoint({ endpoint });
    await hcn.HcnCloseNetwork({ network });
    const id = randomUUID();
    const settings = JSON.stringify({ HostComputeEndpoints: [endpointId] });
    const strangers = JSON.stringify({ HostComputeEndpoints: [randomUUID()] });

    const { loadBalancer } = await hcn.HcnCreateLoadBalancer({ id, settings });
    await assert.rejects(hcn.HcnModifyLoadBalancer({ loadBalancer, settings: strangers }), {
      hresult: 0x803b0002,
    });
    await hcn.HcnModifyLoadBalancer({ loadBalancer, settings: '{"SourceVIP":"10.0.0.9"}' });
    const balanced = await hcn.HcnQueryLoadBalancerProperties({ loadBalancer, query });
    assert.equal(parsed(balanced.properties).SourceVIP, '10.0.0.9');
    await hcn.HcnCloseLoadBalancer({ loadBalancer });
    const { loadBalancer: open } = await hcn.HcnOpenLoadBalancer({ id });
    await hcn.HcnCloseLoadBalancer({ loadBalancer: open });
    const { loadBalancers } = await hcn.HcnEnumerateLoadBalancers({ query });
    assert.deepEqual(JSON.parse(loadBalancers ?? ''), [id.toUpperCase()]);
    await hcn.HcnDeleteLoadBalancer({ id });

    const { route } = await hcn.HcnCreateSdnRoute({ id, settings });
    await assert.rejects(hcn.HcnModifySdnRoute({ route, settings }), { hresult: 0x80004001 });
    const routed = await hcn.HcnQuerySdnRouteProperties({ route, query });
    assert.deepEqual(parsed(routed.properties).HostComputeEndpoints, [endpointId]);
    await hcn.HcnCloseSdnRoute({ route });
    const { route: again } = await hcn.HcnOpenSdnRoute({ id });
    await hcn.HcnCloseSdnRoute({ route: again });
    const { routes } = await hcn.HcnEnumerateSdnRoutes({ query });
    assert.deepEqual(JSON.parse(routes ?? ''), [id.toUpperCase()]);
    await hcn.HcnDeleteSdnRoute({ id });
    await hcn.HcnDeleteEndpoint({ id: endpointId });
    await hcn.HcnDeleteNetwork({ id: networkId });
  });

  test('a handle of one kind is no handle of another', async () => {
    const { id, network } = await makeNetwork('kinds');
    const endpoint = network as unknown as Handle<'HCN_ENDPOINT'>;
    await assert.rejects(hcn.HcnQueryEndpointProperties({ endpoint, query }), { hresult: 0x80070006 });
    await hcn.HcnCloseNetwork({ network });
    await hcn.HcnDeleteNetwork({ id });
  });

  test('notifications come from a foreign thread, in order, and end with the subscription', async () => {
    const told: Notification[] = [];
    using route = routeCallback('HCS_NOTIFICATION_CALLBACK', (notification) => told.push(notification));
    const { callbackHandle } = await hcn.HcnRegisterServiceCallback(route);
    const { id, network } = await makeNetwork('told');
    await hcn.HcnCloseNetwork({ network });
    await hcn.HcnDeleteNetwork({ id });
    // What tests before have done may still be told.
    const toldOf = (one: string) => told.filter(({ data }) => parsed(data).ID === one.toUpperCase());
    await until(() => toldOf(id).length >= 4);
    assert.deepEqual(
      toldOf(id).map(({ type, status }) => [type, status]),
      [1, 2, 3, 4].map((type) => [type, 0]),
    );
    assert.deepEqual(parsed(toldOf(id)[0]?.data ?? null), { ID: id.toUpperCase(), Flags: 0 });
    await hcn.HcnUnregisterServiceCallback({ callbackHandle });
    await assert.rejects(hcn.HcnUnregisterServiceCallback({ callbackHandle }), { hresult: 0x80070006 });
    const { id: unheard, network: second } = await makeNetwork('untold');
    await hcn.HcnCloseNetwork({ network: second });
    await hcn.HcnDeleteNetwork({ id: unheard });
    await sleep(50);
    assert.deepEqual(toldOf(unheard), []);
  });

  test('a guest network service tells of its state and has ports for itself', async () => {
    const id = randomUUID();
    const { guestNetworkService } = await hcn.HcnCreateGuestNetworkService({ id, settings: '{}' });
    const told: Notification[] = [];
    using route = routeCallback('HCS_NOTIFICATION_CALLBACK', (notification) => told.push(notification));
    const { callbackHandle } = await hcn.HcnRegisterGuestNetworkServiceCallback({
      guestNetworkService,
      ...route,
    });
    const request = { ResourceType: 'State', RequestType: 'Update', Settings: { State: 'Synchronized' } };
    await hcn.HcnModifyGuestNetworkService({ guestNetworkService, settings: JSON.stringify(request) });
    await until(() => told.length > 0);
    assert.equal(told[0]?.type, 0x11);
    assert.deepEqual(parsed(told[0]?.data ?? null).Data, { State: 'Synchronized' });
    await hcn.HcnUnregisterGuestNetworkServiceCallback({ callbackHandle });

    assert.deepEqual(await listPortReservations(), []);
    const port = {
      guestNetworkService,
      protocol: PortProtocol.Tcp,
      access: PortAccess.Exclusive,
      port: 8080,
    };
    const { portReservation } = await hcn.HcnReserveGuestNetworkServicePort(port);
    await assert.rejects(hcn.HcnReserveGuestNetworkServicePort({ ...port, protocol: PortProtocol.Both }), {
      hresult: 0x803b0013,
    });
    const portRange = Buffer.alloc(4);
    const range = await hcn.HcnReserveGuestNetworkServicePortRange({
      guestNetworkService,
      portCount: 16,
      portRange,
    });
    const firstPort = portRange.readUInt16LE(0);
    assert.equal(portRange.readUInt16LE(2), firstPort + 15);
    const owner = { owningPartition: id, targetPartition: id, reservationType: 0, deliveryMode: 0 };
    assert.deepEqual(await listPortReservations(), [
      { ...owner, protocol: 1, sharingFlags: 1, firstPort: 8080, lastPort: 8080 },
      { ...owner, protocol: 3, sharingFlags: 1, firstPort, lastPort: firstPort + 15 },
    ]);
    for (const one of [portReservation, range.portReservation])
      await hcn.HcnReleaseGuestNetworkServicePortReservationHandle({ portReservation: one });
    await hcn.HcnCloseGuestNetworkService({ guestNetworkService });
    await hcn.HcnDeleteGuestNetworkService({ id });
    await assert.rejects(hcn.HcnDeleteGuestNetworkService({ id }), { hresult: 0x80070490 });
  });

  after(() => {
    const missing = Object.keys(computenetwork.procedures).filter(
      (procedure) => ledger.StandInCountCalls({ procedure }) === 0,
    );
    assert.deepEqual(missing, [], 'every procedure of the table has been called');
  });
});
