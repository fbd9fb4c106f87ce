import assert from 'node:assert/strict';
import { LoadBalancerFlags, LoadBalancerPortMappingFlags, Protocol } from '../flags.ts';
import { addLoadBalancer, addLoadBalancerEndpoint, removeLoadBalancerEndpoint } from '../load-balancers.ts';
import { addRoute, addRouteEndpoint, removeRouteEndpoint } from '../routes.ts';
import { assertFails, assertSameIds, lendEndpoint, lendNetwork, unknownId } from './expectations.ts';
import type { NetworkContractTest } from './index.ts';

const defaultSetting = { DestinationPrefix: '10.244.0.0/16', NextHop: '10.0.0.1', NeedEncap: true };

export const loadBalancersAndRoutes: Record<string, NetworkContractTest> = {
  async 'a load balancer maps a port to endpoints, which come and go'(harness) {
    const service = harness.network;
    await using network = await lendNetwork(harness, harness.name('balanced'));
    await using one = await lendEndpoint(harness, network.id);
    await using other = await lendEndpoint(harness, network.id);
    const created = await addLoadBalancer(service, {
      endpointIds: [one.id],
      flags: LoadBalancerFlags.DirectServerReturn,
      portMappingFlags: LoadBalancerPortMappingFlags.InternalLoadBalancer,
      sourceVip: '10.0.0.200',
      frontendVips: ['10.96.0.10'],
      protocol: Protocol.TCP,
      internalPort: 8080,
      externalPort: 80,
    });
    await using _ = { [Symbol.asyncDispose]: () => service.loadBalancers.delete(created.ID) };
    const { ID: id } = created;
    assert.deepEqual(await service.loadBalancers.open(id), created);
    assert.deepEqual(created.PortMappings, [
      { Protocol: Protocol.TCP, InternalPort: 8080, ExternalPort: 80, Flags: 1 },
    ]);
    assert.ok((await service.loadBalancers.enumerate()).some(({ ID }) => ID === id));

    const more = await addLoadBalancerEndpoint(service, id, other.id);
    assertSameIds([more.ID], [id]);
    assertSameIds(more.HostComputeEndpoints ?? [], [one.id, other.id]);
    assertSameIds((await addLoadBalancerEndpoint(service, id, one.id)).HostComputeEndpoints ?? [], [
      one.id,
      other.id,
    ]);
    const fewer = await removeLoadBalancerEndpoint(service, id, one.id);
    assertSameIds(fewer.HostComputeEndpoints ?? [], [other.id]);
    assert.deepEqual(fewer.FrontendVIPs, ['10.96.0.10']);
    assert.deepEqual(fewer.PortMappings, created.PortMappings);
  },

  async 'a load balancer is changed by a whole document'(harness) {
    const { loadBalancers } = harness.network;
    await using network = await lendNetwork(harness, harness.name('changed'));
    await using endpoint = await lendEndpoint(harness, network.id);
    const balancer = {
      HostComputeEndpoints: [endpoint.id],
      FrontendVIPs: ['10.96.0.11'],
      PortMappings: [{ Protocol: Protocol.UDP, InternalPort: 53, ExternalPort: 53 }],
    };
    const { ID: id } = await loadBalancers.create(balancer);
    await using _ = { [Symbol.asyncDispose]: () => loadBalancers.delete(id) };
    const changed = await loadBalancers.modify(id, { ...balancer, FrontendVIPs: ['10.96.0.12'] });
    assert.deepEqual(changed.FrontendVIPs, ['10.96.0.12']);
    assert.deepEqual(await loadBalancers.open(id), changed);
  },

  async 'a route leads to endpoints, which come and go'(harness) {
    const { network: service, routeSetting: setting = defaultSetting } = harness;
    await using network = await lendNetwork(harness, harness.name('routed'));
    await using one = await lendEndpoint(harness, network.id);
    await using other = await lendEndpoint(harness, network.id);
    const { ID: id, Setting } = await addRoute(service, [one.id], setting);
    await using _ = { [Symbol.asyncDispose]: () => service.routes.delete(id) };
    assert.deepEqual(Setting, [setting]);
    const more = await addRouteEndpoint(service, id, other.id);
    assertSameIds(more.HostComputeEndpoints ?? [], [one.id, other.id]);
    const fewer = await removeRouteEndpoint(service, id, one.id);
    assertSameIds(fewer.HostComputeEndpoints ?? [], [other.id]);
    assertSameIds(
      (await service.routes.enumerate()).map(({ ID }) => ID),
      [id],
    );
    await assertFails(removeRouteEndpoint(service, id, other.id), 'E_INVALIDARG', 'HostComputeEndpoints');
    assert.deepEqual(await service.routes.open(id), fewer);
  },

  async 'a change that is refused leaves the old load balancer and route'(harness) {
    const { network: service, routeSetting: setting = defaultSetting } = harness;
    await using network = await lendNetwork(harness, harness.name('kept'));
    await using endpoint = await lendEndpoint(harness, network.id);
    const balancer = await service.loadBalancers.create({ HostComputeEndpoints: [endpoint.id] });
    await using _ = { [Symbol.asyncDispose]: () => service.loadBalancers.delete(balancer.ID) };
    const route = await addRoute(service, [endpoint.id], setting);
    await using __ = { [Symbol.asyncDispose]: () => service.routes.delete(route.ID) };
    const notFound = 'HCN_E_ENDPOINT_NOT_FOUND';
    await assertFails(addLoadBalancerEndpoint(service, balancer.ID, unknownId), notFound);
    await assertFails(addRouteEndpoint(service, route.ID, unknownId), notFound);
    assert.deepEqual(await service.loadBalancers.open(balancer.ID), balancer);
    assert.deepEqual(await service.routes.open(route.ID), route);
  },

  async 'a route without endpoints is refused, and unknown ones are not found'(harness) {
    const { routes, loadBalancers } = harness.network;
    await assertFails(routes.create({ Setting: [defaultSetting] }), 'E_INVALIDARG', 'HostComputeEndpoints');
    await assertFails(routes.open(unknownId), 'ERROR_NOT_FOUND', unknownId);
    await assertFails(routes.delete(unknownId), 'ERROR_NOT_FOUND', unknownId);
    await assertFails(loadBalancers.open(unknownId), 'ERROR_NOT_FOUND', unknownId);
    await assertFails(loadBalancers.delete(unknownId), 'ERROR_NOT_FOUND', unknownId);
  },
};
