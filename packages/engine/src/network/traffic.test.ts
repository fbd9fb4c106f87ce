import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  addLoadBalancer,
  addRoute,
  applyEndpointPolicies,
  attachEndpoint,
  detachEndpoint,
  isNotFound,
  type NetworkService,
  newNamespace,
  Protocol,
} from '@hcsshim/hcn';
import { inNetworkNamespace, listRoutes, NetlinkSocket, openNetworkNamespace } from '@hcsshim/linux/netlink';
import type { EndpointPolicy, HostComputeEndpoint, HostComputeNetwork } from '@hcsshim/schema/hcn';
import { createLinuxNetworkService } from './linux-network-service.ts';
import { networkNamespacePath } from './namespaces.ts';
import { enterFreshHost, lendStateDirectory, networkDocument, whyNoNetworks } from './testing/fresh-host.ts';
import { connectOutside, hostAddress, outsideAddress } from './testing/outside.ts';
import { ask, isSwallowed, serve } from './testing/peer.ts';

enterFreshHost();

/** A test may have deleted what it has made. */
function unlessNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

describe('traffic', { skip: whyNoNetworks ?? false, timeout: 60_000 }, () => {
  let stack: AsyncDisposableStack;
  let service: NetworkService;
  let directory: string;

  beforeEach(() => {
    stack = new AsyncDisposableStack();
    directory = stack.use(lendStateDirectory()).path;
    service = createLinuxNetworkService({ stateDirectory: directory });
  });
  afterEach(() => stack.disposeAsync());

  async function network(document: HostComputeNetwork): Promise<string> {
    const { ID } = await service.networks.create(document);
    stack.defer(() => service.networks.delete(ID));
    return ID;
  }

  /** A namespace with one endpoint. */
  async function container(
    networkId: string,
    document: HostComputeEndpoint = {},
  ): Promise<{ path: string; endpointId: string; namespaceId: string; address: string }> {
    const endpoint = await service.endpoints.create({ HostComputeNetwork: networkId, ...document });
    stack.defer(() => service.endpoints.delete(endpoint.ID).catch(unlessNotFound));
    const namespace = await service.namespaces.create(newNamespace('Host'));
    stack.defer(() => service.namespaces.delete(namespace.ID));
    await attachEndpoint(service, namespace.ID, endpoint.ID);
    return {
      path: networkNamespacePath(namespace) ?? '',
      endpointId: endpoint.ID,
      namespaceId: namespace.ID,
      address: endpoint.IpConfigurations?.[0]?.IpAddress ?? '',
    };
  }

  const mapping = (ExternalPort: number, InternalPort: number): EndpointPolicy => ({
    Type: 'PortMapping',
    Settings: { Protocol: Protocol.TCP, ExternalPort, InternalPort },
  });

  it('passes between two namespaces of a network, and the host, until one is detached', async () => {
    const id = await network(networkDocument('nat', 0));
    const [one, other] = [await container(id), await container(id)];
    stack.use(await serve('one', 80, one.path));
    stack.use(await serve('host', 81));
    assert.equal(await ask(one.address, 80, other.path), `one hears ${other.address}`);
    assert.equal(await ask(one.address, 80), 'one hears 10.213.0.1');
    assert.equal(await ask('10.213.0.1', 81, other.path), `host hears ${other.address}`);
    assert.equal(await ask('127.0.0.1', 80, one.path), 'one hears 127.0.0.1');
    await detachEndpoint(service, other.namespaceId, other.endpointId);
    assert.equal(await ask(one.address, 80, other.path), 'ENETUNREACH');
    await attachEndpoint(service, other.namespaceId, other.endpointId);
    assert.equal(await ask(one.address, 80, other.path), `one hears ${other.address}`);
  });

  it("of a NAT network leaves from the host's address, and comes in for mapped ports alone", async () => {
    const id = await network(networkDocument('nat', 1));
    const outside = stack.use(connectOutside(directory));
    const inside = await container(id, { Policies: [mapping(8080, 80)] });
    const neighbour = await container(id);
    stack.use(await serve('outside', 80, outside.path));
    stack.use(await serve('inside', 80, inside.path));
    assert.equal(await ask(outsideAddress, 80, inside.path), `outside hears ${hostAddress}`);
    assert.ok(await isSwallowed(inside.address, 80, outside.path));
    assert.equal(await ask(hostAddress, 8080, outside.path), `inside hears ${outsideAddress}`);
    assert.equal(await ask(hostAddress, 8080, neighbour.path), 'inside hears 10.213.1.1');
    assert.equal(await ask(hostAddress, 8080, inside.path), 'inside hears 10.213.1.1');
    assert.equal(await ask(hostAddress, 8080), `inside hears ${hostAddress}`);
    await applyEndpointPolicies(service, inside.endpointId, 'Remove', [mapping(8080, 80)]);
    assert.equal(await ask(hostAddress, 8080, outside.path), 'ECONNREFUSED');
  });

  it('does not pass from one NAT network to another', async () => {
    const one = await container(await network(networkDocument('first', 2)));
    const other = await container(await network(networkDocument('second', 3)));
    stack.use(await serve('one', 80, one.path));
    assert.ok(await isSwallowed(one.address, 80, other.path));
  });

  it('of an internal network reaches the host and nothing else, of a private one not even that', async () => {
    await network(networkDocument('forwards', 4));
    const outside = stack.use(connectOutside(directory));
    const inner = await container(await network(networkDocument('internal', 5, 'Internal')));
    const privateId = await network(networkDocument('private', 6, 'Private'));
    const [one, other] = [await container(privateId), await container(privateId)];
    stack.use(await serve('host', 81));
    stack.use(await serve('outside', 80, outside.path));
    stack.use(await serve('one', 80, one.path));
    assert.equal(await ask('10.213.5.1', 81, inner.path), `host hears ${inner.address}`);
    assert.ok(await isSwallowed(outsideAddress, 80, inner.path));
    assert.equal(await ask(one.address, 80, other.path), `one hears ${other.address}`);
    assert.ok(await isSwallowed(hostAddress, 81, other.path));
  });

  const withIp = { skip: existsSync('/usr/sbin/ip') ? false : 'iproute2 is not installed' };

  it(
    'of an L2Bridge network goes out by its adapter, to a gateway that is another machine',
    withIp,
    async () => {
      const ip = (...args: string[]): void => void execFileSync('ip', args);
      const gateway = await service.namespaces.create(newNamespace('Host'));
      stack.defer(() => service.namespaces.delete(gateway.ID));
      const path = networkNamespacePath(gateway) ?? '';
      ip('link', 'add', 'adapter0', 'type', 'veth', 'peer', 'name', 'wire0');
      stack.defer(() => ip('link', 'delete', 'adapter0'));
      const fd = openNetworkNamespace(path);
      ip('link', 'set', 'wire0', 'netns', `/proc/${process.pid}/fd/${fd}`);
      inNetworkNamespace(fd, () => {
        ip('address', 'add', '10.213.10.1/24', 'dev', 'wire0');
        ip('link', 'set', 'wire0', 'up');
      });
      closeSync(fd);
      const id = await network({
        ...networkDocument('bridged', 10),
        Type: 'L2Bridge',
        Policies: [{ Type: 'NetAdapterName', Settings: { NetworkAdapterName: 'adapter0' } }],
      });
      const inside = await container(id);
      stack.use(await serve('gateway', 80, path));
      stack.use(await serve('inside', 80, inside.path));
      assert.equal(await ask('10.213.10.1', 80, inside.path), `gateway hears ${inside.address}`);
      assert.equal(await ask(inside.address, 80, path), 'inside hears 10.213.10.1');
    },
  );

  it('is blocked and let through by access control lists, in the order of their priorities', async () => {
    const id = await network(networkDocument('acl', 7));
    const acl = (Settings: object): EndpointPolicy => ({ Type: 'ACL', Settings }) as EndpointPolicy;
    const friend = await container(id);
    const block = acl({ Action: 'Block', Direction: 'In', Priority: 200, Protocols: '6', LocalPorts: '80' });
    const guarded = await container(id, { Policies: [block] });
    stack.use(await serve('guarded', 80, guarded.path));
    stack.use(await serve('guarded too', 81, guarded.path));
    stack.use(await serve('friend', 80, friend.path));
    assert.ok(await isSwallowed(guarded.address, 80, friend.path));
    assert.equal(await ask(guarded.address, 81, friend.path), `guarded too hears ${friend.address}`);
    assert.equal(await ask(friend.address, 80, guarded.path), `friend hears ${guarded.address}`);
    const allow = acl({ Action: 'Allow', Direction: 'In', Priority: 100, RemoteAddresses: friend.address });
    await applyEndpointPolicies(service, guarded.endpointId, 'Add', [allow]);
    assert.equal(await ask(guarded.address, 80, friend.path), `guarded hears ${friend.address}`);
    assert.ok(await isSwallowed(guarded.address, 80));
    const shut = acl({ Action: 'Block', Direction: 'Out', RemoteAddresses: '10.213.7.0/24' });
    await applyEndpointPolicies(service, guarded.endpointId, 'Update', [shut]);
    assert.ok(await isSwallowed(friend.address, 80, guarded.path));
    assert.equal(await ask(guarded.address, 80, friend.path), `guarded hears ${friend.address}`);
    // What was said of an interface does not stay behind for the next one of that name.
    await detachEndpoint(service, guarded.namespaceId, guarded.endpointId);
    await applyEndpointPolicies(service, guarded.endpointId, 'Update', []);
    await attachEndpoint(service, guarded.namespaceId, guarded.endpointId);
    assert.equal(await ask(friend.address, 80, guarded.path), `friend hears ${guarded.address}`);
  });

  it('to a load balancer goes to each of its endpoints, to one alone by source address', async () => {
    const id = await network(networkDocument('balanced', 8));
    const client = await container(id);
    const servers = [await container(id), await container(id), await container(id)];
    for (const [index, { path }] of servers.entries()) stack.use(await serve(`server ${index}`, 80, path));
    const endpointIds = servers.map(({ endpointId }) => endpointId);
    const balancer = { endpointIds, protocol: Protocol.TCP, internalPort: 80, externalPort: 8000 };
    const created = await addLoadBalancer(service, { ...balancer, frontendVips: ['10.96.0.10'] });
    const { ID } = created;
    const names = async (): Promise<Set<string | undefined>> => {
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => ask('10.96.0.10', 8000, client.path)),
      );
      return new Set(answers.map((answer) => /^server \d/.exec(answer)?.[0] ?? answer));
    };
    assert.ok((await names()).size > 1);
    const [portMapping] = created.PortMappings ?? [];
    await service.loadBalancers.modify(ID, {
      ...created,
      PortMappings: [{ ...portMapping, DistributionType: 2 }],
    });
    const [alone, ...others] = await names();
    assert.match(alone ?? '', /^server/);
    assert.deepEqual(others, []);
    // An endpoint that goes is no longer one of those that are chosen.
    await service.loadBalancers.modify(ID, created);
    await service.endpoints.delete(endpointIds[0] ?? '');
    await service.endpoints.delete(endpointIds[1] ?? '');
    assert.deepEqual([...(await names())], ['server 2']);
    await service.loadBalancers.delete(ID);
    // Nobody has the address any more, and the host of this test has no way to anywhere else.
    assert.equal(await ask('10.96.0.10', 8000, client.path), 'ENETUNREACH');
  });

  it('takes the routes of route objects, whenever they come', async () => {
    const id = await network(networkDocument('routed', 9));
    const router = await container(id);
    const first = await container(id);
    const gateways = ({ path }: { path: string }): Map<string, string | undefined> => {
      const fd = openNetworkNamespace(path);
      using socket = inNetworkNamespace(fd, () => NetlinkSocket.open('route'));
      return new Map(
        listRoutes(socket).map(({ destination, gateway }) => [destination.join('.'), gateway?.join('.')]),
      );
    };
    const setting = { DestinationPrefix: '10.244.0.0/16', NextHop: router.address };
    const { ID } = await addRoute(service, [first.endpointId], setting);
    assert.equal(gateways(first).get('10.244.0.0'), router.address);
    assert.equal(gateways(first).get('0.0.0.0'), '10.213.9.1');
    await detachEndpoint(service, first.namespaceId, first.endpointId);
    await attachEndpoint(service, first.namespaceId, first.endpointId);
    assert.equal(gateways(first).get('10.244.0.0'), router.address);
    await service.routes.delete(ID);
    assert.equal(gateways(first).has('10.244.0.0'), false);
  });
});
