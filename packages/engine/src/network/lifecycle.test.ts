import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  applyEndpointPolicies,
  attachEndpoint,
  type NetworkEvent,
  type NetworkService,
  namespaceEndpointIds,
  newNamespace,
} from '@hcsshim/hcn';
import {
  createBridge,
  deleteLink,
  findLink,
  inNetworkNamespace,
  type Link,
  listAddresses,
  listLinks,
  listNftRules,
  listNftTables,
  NetlinkSocket,
  networkNamespaceInode,
  openNetworkNamespace,
  removeNetworkNamespace,
  replaceNftTables,
} from '@hcsshim/linux/netlink';
import { type HResultName, isHcsError } from '@hcsshim/schema';
import type { HostComputeEndpoint, HostComputeNetwork } from '@hcsshim/schema/hcn';
import { bridgeName, networkTableName, portName } from './link-names.ts';
import { createLinuxNetworkService } from './linux-network-service.ts';
import { networkNamespacePath } from './namespaces.ts';
import { enterFreshHost, lendStateDirectory, networkDocument, whyNoNetworks } from './testing/fresh-host.ts';

enterFreshHost();

const hostLinks = (): string[] => {
  using socket = NetlinkSocket.open('route');
  return listLinks(socket)
    .map(({ name }) => name)
    .filter((name) => name !== 'lo');
};
const tables = (): string[] => {
  using socket = NetlinkSocket.open('netfilter');
  return listNftTables(socket, 'ipv4');
};

async function assertFails(work: Promise<unknown>, code: HResultName, ...words: string[]): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(isHcsError(error), String(error));
    assert.equal(error.code, code, error.message);
    for (const word of words)
      assert.ok(error.message.includes(word), `"${word}" is missing in: ${error.message}`);
    return true;
  });
}

interface Run {
  child: ReturnType<typeof spawn>;
  /** Everything that it says. */
  output(): Promise<string>;
  /** Its exit code, null when it was killed. */
  ended: Promise<number | null>;
}

function commandOf(directory: string, script: string): [program: string, ...args: string[]] {
  const local = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const source = `
    import { attachEndpoint } from '@hcsshim/hcn';
    import { createLinuxNetworkService } from ${local('./linux-network-service.ts')};
    import { NetworkState } from ${local('./network-state.ts')};
    import { networkDocument } from ${local('./testing/fresh-host.ts')};
    const service = createLinuxNetworkService({ stateDirectory: ${JSON.stringify(directory)} });
    const die = () => process.kill(process.pid, 'SIGKILL');
    ${script}`;
  return [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source];
}

/** Runs a script in another process of this host. */
function run(directory: string, script: string): Run {
  const [program, ...args] = commandOf(directory, script);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: import.meta.dirname });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, output: () => text(child.stdout as NonNullable<typeof child.stdout>), ended };
}

function linksIn(namespacePath: string): Link[] {
  const fd = openNetworkNamespace(namespacePath);
  try {
    using socket = inNetworkNamespace(fd, () => NetlinkSocket.open('route'));
    return listLinks(socket);
  } finally {
    closeSync(fd);
  }
}

const hasIp = ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'].some((path) => existsSync(path));

describe('networks of a host', { skip: whyNoNetworks ?? false, timeout: 60_000 }, () => {
  let stack: AsyncDisposableStack;
  let service: NetworkService;
  let directory: string;
  const told: string[] = [];
  const open = (): NetworkService =>
    createLinuxNetworkService({ stateDirectory: directory, log: (message) => told.push(message) });

  beforeEach(() => {
    stack = new AsyncDisposableStack();
    directory = stack.use(lendStateDirectory()).path;
    service = open();
    told.length = 0;
  });
  /** Whatever a test has made goes, by another service that finds it. */
  afterEach(async () => {
    const last = open();
    for (const { ID } of await last.loadBalancers.enumerate()) await last.loadBalancers.delete(ID);
    for (const { ID } of await last.namespaces.enumerate()) await last.namespaces.delete(ID);
    for (const { ID } of await last.endpoints.enumerate()) await last.endpoints.delete(ID);
    for (const { ID } of await last.networks.enumerate()) await last.networks.delete(ID);
    assert.deepEqual(hostLinks(), []);
    assert.deepEqual(tables(), []);
    await stack.disposeAsync();
  });

  const inNetwork = (networkId: string, changes: Partial<HostComputeEndpoint> = {}) =>
    service.endpoints.create({ HostComputeNetwork: networkId, ...changes });

  it('a NAT network is a bridge with the gateway, a packet filter and forwarding, until it is deleted', async () => {
    const { ID: id } = await service.networks.create(networkDocument('nat', 0));
    using socket = NetlinkSocket.open('route');
    const bridge = findLink(socket, bridgeName(id));
    assert.equal(bridge?.kind, 'bridge');
    assert.ok((bridge?.alias ?? '').includes(id));
    const addresses = listAddresses(socket).filter(({ index }) => index === bridge?.index);
    assert.deepEqual(
      addresses.map(({ address, prefixLength }) => `${address.join('.')}/${prefixLength}`),
      ['10.213.0.1/24'],
    );
    assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim(), '1');
    using filter = NetlinkSocket.open('netfilter');
    const rules = listNftRules(filter, 'ipv4').filter(({ table }) => table === networkTableName(id));
    assert.ok(
      rules.some(({ chain, expressions }) => chain === 'postrouting' && expressions.includes('masq')),
    );
    await service.networks.delete(id);
    assert.equal(findLink(socket, bridgeName(id)), undefined);
    assert.deepEqual(tables(), []);
  });

  it('addresses are given from the subnet, others are refused, and there is an end to them', async () => {
    const document = networkDocument('small', 0);
    const [ipam] = document.Ipams;
    const [subnet] = ipam?.Subnets ?? [];
    const small = { ...subnet, IpAddressPrefix: '10.213.0.0/29' };
    const { ID: id } = await service.networks.create({
      ...document,
      Ipams: [{ Type: 'Static', Subnets: [small] }],
    });
    const asked = (IpAddress: string, PrefixLength?: number) =>
      inNetwork(id, { IpConfigurations: [{ IpAddress, ...(PrefixLength ? { PrefixLength } : {}) }] });
    const { IpConfigurations: given } = await asked('10.213.0.4');
    assert.deepEqual(given, [{ IpAddress: '10.213.0.4', PrefixLength: 29 }]);
    const { ID: owner } = await inNetwork(id);
    const reserved = 'HCN_E_ADDR_INVALID_OR_RESERVED';
    await assertFails(asked('10.213.0.4'), reserved, '10.213.0.4');
    await assertFails(asked('10.213.0.2'), reserved, owner);
    await assertFails(asked('10.213.0.1'), reserved, 'gateway');
    await assertFails(asked('10.213.0.0'), reserved);
    await assertFails(asked('10.213.0.7'), reserved, 'broadcast');
    await assertFails(asked('10.213.9.9'), 'HCN_E_INVALID_IP', '10.213.0.0/29');
    await assertFails(asked('10.213.0'), 'HCN_E_INVALID_IP', '"10.213.0"');
    await assertFails(asked('fd00::1'), 'ERROR_NOT_SUPPORTED', 'IPv4');
    await assertFails(asked('10.213.0.5', 24), 'HCN_E_INVALID_PREFIX');
    const rest = [await inNetwork(id), await inNetwork(id), await inNetwork(id)];
    assert.deepEqual(
      rest.map(({ IpConfigurations }) => IpConfigurations?.[0]?.IpAddress),
      ['10.213.0.3', '10.213.0.5', '10.213.0.6'],
    );
    await assertFails(inNetwork(id), 'ERROR_NO_MORE_ITEMS', '10.213.0.0/29');
    await service.endpoints.delete(owner);
    assert.equal((await inNetwork(id)).IpConfigurations?.[0]?.IpAddress, '10.213.0.2');
    await assertFails(service.networks.delete(id), 'HCN_E_ENTITY_HAS_REFERENCES', 'endpoint');
  });

  it('MAC addresses are given from the pool, and one is given once', async () => {
    const Ranges = [{ StartMacAddress: '00-15-5D-01-00-00', EndMacAddress: '00-15-5d-01-00-01' }];
    const { ID: id } = await service.networks.create({ ...networkDocument('pool', 0), MacPool: { Ranges } });
    assert.equal((await inNetwork(id)).MacAddress, '00-15-5D-01-00-00');
    await assertFails(inNetwork(id, { MacAddress: '00:15:5d:01:00:00' }), 'ERROR_ALREADY_EXISTS');
    await assertFails(inNetwork(id, { MacAddress: '01-15-5D-01-00-00' }), 'E_INVALIDARG', 'group');
    await assertFails(inNetwork(id, { MacAddress: 'eth0' }), 'E_INVALIDARG', '"eth0"');
    assert.equal((await inNetwork(id)).MacAddress, '00-15-5D-01-00-01');
    await assertFails(inNetwork(id), 'ERROR_NO_MORE_ITEMS', 'pool');
  });

  it('a network without a subnet gets one that is free, and one that is taken is refused', async () => {
    const first = await service.networks.create({ Name: 'first' });
    const second = await service.networks.create({ Name: 'second', Type: 'Internal' });
    const prefixes = [first, second].map(({ Ipams }) => Ipams?.[0]?.Subnets?.[0]?.IpAddressPrefix);
    assert.deepEqual(prefixes, ['172.30.0.0/24', '172.30.1.0/24']);
    await service.networks.create(networkDocument('third', 0));
    const overlapping = service.networks.create(networkDocument('fourth', 0));
    await assertFails(overlapping, 'HCN_E_INVALID_SUBNET', '10.213.0.0/24', 'network "third"');
    // No host has an address in a private one.
    await service.networks.create(networkDocument('private', 0, 'Private'));
  });

  it('an endpoint has the MTU of its policy, and the DNS settings of its network', async () => {
    const { ID: id } = await service.networks.create({
      ...networkDocument('settings', 0),
      Policies: [{ Type: 'AutomaticDNS', Settings: { Enable: true } }],
    });
    const policy = (Mtu: number) => ({ Type: 'InterfaceParameters' as const, Settings: { Mtu } });
    const endpoint = await inNetwork(id, { Policies: [policy(1400)] });
    assert.ok(Array.isArray(endpoint.Dns?.ServerList));
    const namespace = await service.namespaces.create(newNamespace('Host'));
    await attachEndpoint(service, namespace.ID, endpoint.ID);
    const [, eth0] = linksIn(networkNamespacePath(namespace) ?? '');
    assert.equal(eth0?.mtu, 1400);
    assert.equal(
      Buffer.from(eth0?.address ?? []).toString('hex'),
      endpoint.MacAddress?.replaceAll('-', '').toLowerCase(),
    );
    await assertFails(
      applyEndpointPolicies(service, endpoint.ID, 'Update', [policy(1300)]),
      'ERROR_NOT_SUPPORTED',
      'detach',
    );
    const own = { ServerList: ['192.0.2.53'] };
    assert.deepEqual((await inNetwork(id, { Dns: own })).Dns, own);
    await service.networks.modify(id, {
      ResourceType: 'DNS',
      RequestType: 'Update',
      Settings: { Domain: 'a.example' },
    });
    assert.deepEqual((await inNetwork(id)).Dns, { Domain: 'a.example' });
  });

  it('what is not carried out is refused, and nothing is made', async () => {
    const document = networkDocument('refused', 0);
    const refused = (changes: object, ...words: string[]) =>
      assertFails(
        service.networks.create({ ...document, ...changes } as HostComputeNetwork),
        'ERROR_NOT_SUPPORTED',
        ...words,
      );
    for (const type of ['Overlay', 'L2Tunnel', 'ICS', 'Mirrored']) await refused({ Type: type }, type);
    await refused({ Policies: [{ Type: 'VxlanPort', Settings: { Port: 4789 } }] }, 'VxlanPort');
    await refused(
      { Policies: [{ Type: 'NetAdapterName', Settings: { NetworkAdapterName: 'x' } }] },
      'adapter',
    );
    await refused({ Flags: 1024 }, '1024');
    await refused({ Ipams: [{ Type: 'Dhcp' }] }, 'DHCP');
    const v6 = { IpAddressPrefix: 'fd00::/64', Routes: [{ NextHop: 'fd00::1', DestinationPrefix: '::/0' }] };
    await refused({ Ipams: [{ Type: 'Static', Subnets: [v6] }] }, 'IPv4');
    assert.deepEqual(hostLinks(), []);
    const { ID: id } = await service.networks.create(networkDocument('internal', 0, 'Internal'));
    const qos = { Type: 'QOS' as const, Settings: { MaximumOutgoingBandwidthInBytes: 1 } };
    await assertFails(inNetwork(id, { Policies: [qos] }), 'ERROR_NOT_SUPPORTED', 'QOS');
    const mapping = {
      Type: 'PortMapping' as const,
      Settings: { Protocol: 6 as const, InternalPort: 1, ExternalPort: 1 },
    };
    await assertFails(inNetwork(id, { Policies: [mapping] }), 'HCN_E_INVALID_POLICY_TYPE', 'NAT');
    await assertFails(inNetwork(id, { Flags: 2 }), 'ERROR_NOT_SUPPORTED', 'RemoteEndpoint');
    const { ID: endpoint } = await inNetwork(id);
    const port = service.endpoints.modify(endpoint, {
      ResourceType: 'Port',
      RequestType: 'Add',
      Settings: {},
    });
    await assertFails(port, 'ERROR_NOT_SUPPORTED', 'VM');
    for (const type of ['Guest', 'HostDefault'] as const) {
      const namespace = await service.namespaces.create(newNamespace(type));
      assert.equal(networkNamespacePath(namespace), undefined);
      await assertFails(attachEndpoint(service, namespace.ID, endpoint), 'ERROR_NOT_SUPPORTED', type);
    }
    await assertFails(service.namespaces.create(newNamespace('HostDefault')), 'ERROR_ALREADY_EXISTS');
    const balancer = { HostComputeEndpoints: [endpoint], SourceVIP: '10.0.0.1' };
    await assertFails(service.loadBalancers.create(balancer), 'ERROR_NOT_SUPPORTED', 'SourceVIP');
    const route = { HostComputeEndpoints: [endpoint], Setting: [{ NeedEncap: true }] };
    await assertFails(service.routes.create(route), 'ERROR_NOT_SUPPORTED', 'NeedEncap');
  });

  it('a port of the host is mapped once', async () => {
    const { ID: id } = await service.networks.create(networkDocument('ports', 0));
    const mapping = (ExternalPort: number, VIP?: string) => ({
      Type: 'PortMapping' as const,
      Settings: { Protocol: 6 as const, InternalPort: 80, ExternalPort, ...(VIP ? { VIP } : {}) },
    });
    const { ID: owner } = await inNetwork(id, { Policies: [mapping(8080, '10.213.0.1')] });
    await assertFails(inNetwork(id, { Policies: [mapping(8080)] }), 'HCN_E_PORT_ALREADY_EXISTS', owner);
    await inNetwork(id, { Policies: [mapping(8080, '10.213.0.9'), mapping(8081)] });
    await assertFails(inNetwork(id, { Policies: [mapping(0)] }), 'HCN_E_INVALID_POLICY', 'ExternalPort');
  });

  const withIp = { skip: hasIp ? false : 'iproute2 is not installed' };

  it('an adapter becomes a port of an L2Bridge network, and is free again afterwards', withIp, async () => {
    using socket = NetlinkSocket.open('route');
    const ip = (...args: string[]) => execFileSync('ip', args);
    ip('link', 'add', 'adapter0', 'type', 'veth', 'peer', 'name', 'adapter1');
    using _ = { [Symbol.dispose]: () => ip('link', 'delete', 'adapter0') };
    const document = (name: string, NetworkAdapterName: string): HostComputeNetwork => ({
      ...networkDocument(name, 0),
      Type: 'L2Bridge',
      Policies: [{ Type: 'NetAdapterName', Settings: { NetworkAdapterName } }],
    });
    await assertFails(
      service.networks.create(document('none', 'adapter9')),
      'HCN_E_ADAPTER_NOT_FOUND',
      'adapter9',
    );
    ip('address', 'add', '192.0.2.1/24', 'dev', 'adapter0');
    await assertFails(
      service.networks.create(document('used', 'adapter0')),
      'ERROR_NOT_SUPPORTED',
      'address',
    );
    ip('address', 'flush', 'dev', 'adapter0');
    const { ID } = await service.networks.create(document('wire', 'adapter0'));
    const bridge = findLink(socket, bridgeName(ID));
    assert.equal(findLink(socket, 'adapter0')?.master, bridge?.index);
    assert.equal(findLink(socket, 'adapter0')?.isUp, true);
    // The gateway is another machine.
    assert.deepEqual(
      listAddresses(socket).filter(({ index }) => index === bridge?.index),
      [],
    );
    const second = service.networks.create({ ...document('second', 'adapter0') });
    await assertFails(second, 'HCN_E_SHARED_SWITCH_MODIFICATION', 'adapter0');
    await service.networks.delete(ID);
    assert.equal(findLink(socket, 'adapter0')?.master, undefined);
    assert.deepEqual(hostLinks().sort(), ['adapter0', 'adapter1']);
  });

  it('a namespace is where its document says, with its loopback up, and ends with it', async () => {
    const namespace = await service.namespaces.create(newNamespace('Host'));
    const path = networkNamespacePath(namespace) ?? '';
    assert.ok(path.startsWith(directory));
    assert.equal(namespace.NamespaceId, networkNamespaceInode(path));
    assert.notEqual(namespace.NamespaceId, networkNamespaceInode());
    assert.equal(statSync(join(directory, 'network')).mode & 0o777, 0o700);
    await service.namespaces.delete(namespace.ID);
    assert.equal(existsSync(path), false);
  });

  it('a creation that fails half way undoes what it had made', async () => {
    const ID = '0badf00d-0000-4000-8000-000000000001';
    await service.networks.enumerate();
    await service.namespaces.create(newNamespace('Host'));
    // The record cannot be written: a directory has its name.
    const records = (kind: string) => join(directory, 'network', kind, `${ID}.json.new`);
    for (const kind of ['networks', 'namespaces']) mkdirSync(records(kind));
    await assertFails(service.networks.create({ ...networkDocument('half', 0), ID }), 'E_FAIL', ID);
    await assertFails(service.namespaces.create({ ...newNamespace('Host'), ID }), 'E_FAIL', ID);
    assert.deepEqual(hostLinks(), []);
    assert.deepEqual(tables(), []);
    assert.equal(readdirSync(join(directory, 'network', 'ns')).length, 1);
    for (const kind of ['networks', 'namespaces']) rmSync(records(kind), { recursive: true });
    assert.deepEqual(told, []);
  });

  it('what a killed process had begun is gone with the next change, and told', async () => {
    const { ID: networkId } = await service.networks.create(networkDocument('stays', 0));
    const { ID: endpointId } = await inNetwork(networkId);
    const { ID: namespaceId } = await service.namespaces.create(newNamespace('Host'));
    const atWrite = 'NetworkState.prototype.write = die;';
    const deaths = [
      `${atWrite} await service.networks.create(networkDocument('half', 1));`,
      `${atWrite} await service.namespaces.create({ Type: 'Host' });`,
      `${atWrite} await attachEndpoint(service, '${namespaceId}', '${endpointId}');`,
    ];
    for (const script of deaths) {
      assert.equal(await run(directory, script).ended, null);
      assert.ok(hostLinks().length + readdirSync(join(directory, 'network', 'ns')).length > 2, script);
      const { ID } = await service.namespaces.create(newNamespace('Guest'));
      assert.deepEqual(hostLinks(), [bridgeName(networkId)], script);
      assert.deepEqual(readdirSync(join(directory, 'network', 'ns')), [namespaceId], script);
      assert.equal(told.length, 1, told.join('; '));
      told.length = 0;
      await service.namespaces.delete(ID);
    }
    await attachEndpoint(service, namespaceId, endpointId);
  });

  it('a deletion that a killed process had begun has not happened', async () => {
    const { ID: networkId } = await service.networks.create(networkDocument('stays', 0));
    const { ID: endpointId } = await inNetwork(networkId);
    const { ID: namespaceId } = await service.namespaces.create(newNamespace('Host'));
    await attachEndpoint(service, namespaceId, endpointId);
    const script = `NetworkState.prototype.write = die; await service.namespaces.delete('${namespaceId}');`;
    assert.equal(await run(directory, script).ended, null);
    assert.deepEqual(hostLinks(), [bridgeName(networkId)]);
    assert.deepEqual(await namespaceEndpointIds(open(), namespaceId), [endpointId]);
    assert.deepEqual(hostLinks().sort(), [bridgeName(networkId), portName(endpointId)].sort());
    assert.equal(told.length, 1);
  });

  it('what the kernel has lost is made again when a process first looks, as after a reboot', async () => {
    const { ID: networkId } = await service.networks.create(networkDocument('lost', 0));
    const { ID: endpointId } = await inNetwork(networkId);
    const namespace = await service.namespaces.create(newNamespace('Host'));
    await attachEndpoint(service, namespace.ID, endpointId);
    const before = hostLinks().sort();
    using socket = NetlinkSocket.open('route');
    deleteLink(socket, bridgeName(networkId));
    deleteLink(socket, portName(endpointId));
    using filter = NetlinkSocket.open('netfilter');
    replaceNftTables(filter, [{ family: 'ipv4', name: networkTableName(networkId), chains: [] }]);
    const path = networkNamespacePath(namespace) ?? '';
    removeNetworkNamespace(path);
    const { NamespaceId } = await open().namespaces.open(namespace.ID);
    assert.equal(NamespaceId, networkNamespaceInode(path));
    assert.deepEqual(hostLinks().sort(), before);
    assert.deepEqual(tables(), [networkTableName(networkId)]);
    assert.equal(told.length, 3, told.join('; '));
  });

  it('what died while it was made again is made as a whole', async () => {
    const { ID: id } = await service.networks.create(networkDocument('twice', 0));
    using socket = NetlinkSocket.open('route');
    deleteLink(socket, bridgeName(id));
    createBridge(socket, { name: bridgeName(id), address: Uint8Array.of(2, 0, 0, 0, 0, 1) });
    await open().networks.enumerate();
    const { index, alias } = findLink(socket, bridgeName(id)) ?? {};
    assert.ok((alias ?? '').includes(id));
    assert.equal(listAddresses(socket).filter((address) => address.index === index).length, 1);
    assert.equal(told.length, 1, told.join('; '));
  });

  it('links of a state directory that was wiped are removed', async () => {
    const { ID } = await service.networks.create(networkDocument('wiped', 0));
    rmSync(join(directory, 'network', 'networks', `${ID}.json`));
    assert.deepEqual(await open().networks.enumerate(), []);
    assert.deepEqual(hostLinks(), []);
    assert.deepEqual(tables(), []);
  });

  it('processes that create at once do not disturb each other, and see the same', async () => {
    const { ID: id } = await service.networks.create(networkDocument('shared', 0));
    const script = (first: number) => `
      for (let number = 0; number < 3; number++) {
        await service.networks.create(networkDocument('by process ' + (${first} + number), ${first} + number));
        await service.endpoints.create({ HostComputeNetwork: '${id}' });
      }
      const { length } = await service.networks.enumerate();
      console.log(length >= 4);`;
    // What nobody reads is dropped when a process ends.
    const runs = [10, 20].map((first) => {
      const { output, ended } = run(directory, script(first));
      return { output: output(), ended };
    });
    for (let number = 0; number < 3; number++) await inNetwork(id);
    for (const { output, ended } of runs) {
      assert.equal(await output, 'true\n');
      assert.equal(await ended, 0);
    }
    assert.equal((await service.networks.enumerate()).length, 7);
    const endpoints = await service.endpoints.enumerate();
    assert.equal(endpoints.length, 9);
    assert.equal(new Set(endpoints.map(({ IpConfigurations }) => IpConfigurations?.[0]?.IpAddress)).size, 9);
    assert.equal(new Set(endpoints.map(({ MacAddress }) => MacAddress)).size, 9);
    assert.equal(hostLinks().length, 7);
  });

  it('a watch hears of what other processes make', async () => {
    const events: NetworkEvent[] = [];
    await using _ = await service.watch((event) => events.push(event));
    const script = `
      const { ID } = await service.networks.create(networkDocument('watched', 0));
      const namespace = await service.namespaces.create({ Type: 'Host' });
      await service.namespaces.delete(namespace.ID);
      await service.networks.delete(ID);`;
    assert.equal(await run(directory, script).ended, 0);
    const deadline = Date.now() + 5_000;
    while (events.length < 6 && Date.now() < deadline) await sleep(10);
    assert.deepEqual(
      events.map(({ type, number }) => `${number} ${type}`),
      [
        '1 NetworkPreCreate',
        '2 NetworkCreate',
        '5 NamespaceCreate',
        '6 NamespaceDelete',
        '3 NetworkPreDelete',
        '4 NetworkDelete',
      ],
    );
  });

  it('a call that waits for another process is given up by its signal, and has done nothing', async () => {
    const script = `
      const { FileLock } = await import('@hcsshim/linux');
      await service.namespaces.create({ Type: 'Guest' });
      await FileLock.acquire(${JSON.stringify(join(directory, 'network', 'lock'))});
      console.log('held');
      setInterval(() => {}, 1000);`;
    const { child, ended } = run(directory, script);
    stack.defer(() => void child.kill('SIGKILL'));
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    const controller = new AbortController();
    const reason = new Error('enough');
    const { signal } = controller;
    // The second waits for the first besides.
    const creating = [0, 1].map((number) =>
      service.networks.create(networkDocument(`waits ${number}`, number), { signal }),
    );
    setTimeout(() => controller.abort(reason), 50);
    const start = performance.now();
    for (const one of creating) await assert.rejects(one, (error) => error === reason);
    assert.ok(performance.now() - start < 3_000);
    assert.deepEqual(hostLinks(), []);
    child.kill('SIGKILL');
    await ended;
    assert.deepEqual(await service.networks.enumerate(), []);
  });

  it('without the right to change networks a user is told what is missing', async () => {
    const script = `
      import { chownSync } from 'node:fs';
      chownSync(${JSON.stringify(directory)}, 65534, 65534);
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      for (const create of [
        () => service.networks.create(networkDocument('nobody', 0)),
        () => service.namespaces.create({ Type: 'Host' }),
      ]) await create().catch(({ code, message }) => console.log(code, message));`;
    const output = await run(directory, script).output();
    rmSync(join(directory, 'network'), { recursive: true, force: true });
    chownSync(directory, 0, 0);
    const [network = '', namespace = ''] = output.trim().split('\n');
    for (const line of [network, namespace])
      assert.match(line, /^E_ACCESSDENIED Cannot create .*CAP_NET_ADMIN/);
  });

  it('a process of another network namespace is told where the networks are', async () => {
    await service.networks.create(networkDocument('here', 0));
    const script = `
      import { unshareNetworkNamespace } from '@hcsshim/linux/netlink';
      unshareNetworkNamespace();
      await service.networks.enumerate().catch(({ code, message }) => console.log(code, message));`;
    assert.match(await run(directory, script).output(), /^HCS_E_INVALID_STATE .* network namespace \d+ /);
    const inOwnMounts = spawnSync(
      'unshare',
      ['--mount', ...commandOf(directory, script.split('\n').slice(3).join('\n'))],
      {
        encoding: 'utf8',
        cwd: import.meta.dirname,
      },
    );
    assert.match(inOwnMounts.stdout, /^HCS_E_INVALID_STATE .* mount namespace \d+ /);
  });

  it('loopback and interfaces of a namespace are up', async () => {
    const { ID: networkId } = await service.networks.create(networkDocument('up', 0));
    const namespace = await service.namespaces.create(newNamespace('Host'));
    for (const _ of [0, 1]) await attachEndpoint(service, namespace.ID, (await inNetwork(networkId)).ID);
    const links = linksIn(networkNamespacePath(namespace) ?? '');
    assert.deepEqual(
      links.map(({ name, isUp }) => `${name} ${isUp}`),
      ['lo true', 'eth0 true', 'eth1 true'],
    );
  });
});
