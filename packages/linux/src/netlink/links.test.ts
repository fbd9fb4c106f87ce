import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  addAddress,
  addRoute,
  addressIn,
  changeLink,
  createBridge,
  createNetworkNamespace,
  createVeth,
  deleteLink,
  deleteLinkIfThere,
  deleteRoute,
  findLink,
  inNetworkNamespace,
  isForThisHost,
  isNamespaceMount,
  listAddresses,
  listLinks,
  listNftRules,
  listNftTables,
  listRoutes,
  masquerade,
  NetlinkSocket,
  type NftTable,
  networkNamespaceInode,
  openNetworkNamespace,
  protocolIs,
  removeNetworkNamespace,
  replaceNftTables,
  translateDestination,
  unshareNetworkNamespace,
} from './index.ts';

const isRoot = process.geteuid?.() === 0;
const skip = isRoot ? false : 'links and namespaces need root';
const hasIp = ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'].some((path) => existsSync(path));
/** What follows is this process's alone. */
if (isRoot) unshareNetworkNamespace();

const directory = mkdtempSync(join(tmpdir(), 'hcsshim-links-'));
after(() => rmSync(directory, { recursive: true }));

/** What iproute2 says, where it is installed. */
function ip(...args: string[]): Record<string, unknown>[] | undefined {
  return hasIp
    ? JSON.parse(execFileSync('ip', ['-json', '-details', ...args], { encoding: 'utf8' }))
    : undefined;
}

const mac = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last);

test('a bridge is made, found and deleted', { skip }, () => {
  using socket = NetlinkSocket.open('route');
  createBridge(socket, { name: 'br-one', address: mac(1) });
  changeLink(socket, 'br-one', { alias: 'for a test' });
  const bridge = findLink(socket, 'br-one');
  assert.equal(bridge?.kind, 'bridge');
  assert.equal(bridge?.isUp, true);
  assert.equal(bridge?.alias, 'for a test');
  assert.deepEqual([...(bridge?.address ?? [])], [...mac(1)]);
  const [shown] = ip('link', 'show', 'br-one') ?? [{ ifname: 'br-one', ifalias: 'for a test' }];
  assert.equal(shown?.ifalias, 'for a test');
  assert.throws(() => createBridge(socket, { name: 'br-one', address: mac(2) }), {
    code: 'EEXIST',
    message: /^Cannot create bridge "br-one": /,
  });
  deleteLink(socket, 'br-one');
  assert.equal(findLink(socket, 'br-one'), undefined);
  assert.throws(() => deleteLink(socket, 'br-one'), { code: 'ENODEV' });
  deleteLinkIfThere(socket, 'br-one');
});

test('a namespace stays without a process, and this thread stays where it was', { skip }, () => {
  const path = join(directory, 'stays');
  const here = networkNamespaceInode();
  createNetworkNamespace(path, () => assert.notEqual(networkNamespaceInode(), here));
  try {
    assert.equal(networkNamespaceInode(), here);
    assert.equal(isNamespaceMount(path), true);
    assert.notEqual(networkNamespaceInode(path), here);
    const fd = openNetworkNamespace(path);
    assert.equal(
      inNetworkNamespace(fd, () => networkNamespaceInode()),
      networkNamespaceInode(path),
    );
    assert.throws(
      () =>
        inNetworkNamespace(fd, () => {
          throw new Error('in there');
        }),
      /in there/,
    );
    closeSync(fd);
    assert.equal(networkNamespaceInode(), here);
  } finally {
    removeNetworkNamespace(path);
  }
  assert.equal(existsSync(path), false);
});

test('a namespace whose preparation fails is not there', { skip }, () => {
  const path = join(directory, 'fails');
  const here = networkNamespaceInode();
  const fail = (): never => {
    throw new Error('not prepared');
  };
  assert.throws(() => createNetworkNamespace(path, fail), /not prepared/);
  assert.equal(existsSync(path), false);
  assert.equal(networkNamespaceInode(), here);
});

test('a link leads into a namespace, with addresses and routes there', { skip }, () => {
  const path = join(directory, 'peer');
  createNetworkNamespace(path, () => {
    using socket = NetlinkSocket.open('route');
    changeLink(socket, 'lo', { up: true });
  });
  const fd = openNetworkNamespace(path);
  using host = NetlinkSocket.open('route');
  using peer = inNetworkNamespace(fd, () => NetlinkSocket.open('route'));
  try {
    createBridge(host, { name: 'br-two', address: mac(1) });
    const master = findLink(host, 'br-two')?.index ?? 0;
    createVeth(host, {
      name: 've-host',
      master,
      mtu: 1400,
      peer: { name: 'eth0', address: mac(7), namespaceFd: fd },
    });
    assert.equal(findLink(host, 've-host')?.master, master);
    assert.equal(findLink(host, 'eth0'), undefined);
    changeLink(peer, 'eth0', { up: true });
    const { index = 0, address = [] } = findLink(peer, 'eth0') ?? {};
    assert.deepEqual([...address], [...mac(7)]);
    addAddress(peer, { index, address: Uint8Array.of(10, 213, 0, 2), prefixLength: 24 });
    const route = {
      index,
      destination: new Uint8Array(4),
      prefixLength: 0,
      gateway: Uint8Array.of(10, 213, 0, 1),
      metric: 7,
    };
    addRoute(peer, route);
    assert.ok(
      listAddresses(peer).some((one) => one.index === index && one.address.join('.') === '10.213.0.2'),
    );
    const found = listRoutes(peer).find(({ prefixLength }) => prefixLength === 0);
    assert.equal(found?.gateway?.join('.'), '10.213.0.1');
    assert.equal(found?.metric, 7);
    assert.throws(() => addRoute(peer, { ...route, metric: 8, gateway: Uint8Array.of(9, 9, 9, 9) }), {
      code: 'ENETUNREACH',
      message: /^Cannot add a route to 0\.0\.0\.0\/0 by 9\.9\.9\.9: nexthop has invalid gateway/,
    });
    deleteRoute(peer, route);
    assert.equal(
      listRoutes(peer).some(({ prefixLength }) => prefixLength === 0),
      false,
    );
    deleteLink(host, 've-host');
    assert.equal(findLink(peer, 'eth0'), undefined);
  } finally {
    deleteLinkIfThere(host, 'br-two');
    closeSync(fd);
    removeNetworkNamespace(path);
  }
});

test('a table takes the place of another as a whole, and a wrong one leaves the old', { skip }, () => {
  using socket = NetlinkSocket.open('netfilter');
  const table = (rules: NftTable['chains'][number]['rules']): NftTable => ({
    family: 'ipv4',
    name: 'test',
    chains: [{ name: 'post', type: 'nat', hook: 'postrouting', priority: 100, rules }],
  });
  const network = Uint8Array.of(10, 213, 0, 0);
  const rule = [...addressIn('source', network, Uint8Array.of(255, 255, 0, 0)), ...masquerade()];
  replaceNftTables(socket, [table([rule, rule])]);
  replaceNftTables(socket, [table([rule])]);
  const expected = [{ table: 'test', chain: 'post', expressions: ['payload', 'bitwise', 'cmp', 'masq'] }];
  assert.deepEqual(listNftRules(socket, 'ipv4'), expected);
  // Destinations are not translated after routing.
  const wrong = [...protocolIs(6), ...isForThisHost(), ...translateDestination(network, 80)];
  assert.throws(() => replaceNftTables(socket, [table([rule, wrong])]), { syscall: 'NFT_MSG_NEWRULE' });
  assert.deepEqual(listNftRules(socket, 'ipv4'), expected);
  replaceNftTables(socket, [{ family: 'ipv4', name: 'test', chains: [] }]);
  assert.deepEqual(listNftTables(socket, 'ipv4'), []);
});

test('a table of thousands of rules is one transaction', { skip }, () => {
  using socket = NetlinkSocket.open('netfilter');
  const rule = (last: number) => [
    ...addressIn('source', Uint8Array.of(10, 213, last >> 8, last & 0xff), Uint8Array.of(255, 255, 255, 255)),
    ...masquerade(),
  ];
  const chain = { name: 'post', type: 'nat', hook: 'postrouting', priority: 100 } as const;
  const rules = Array.from({ length: 3000 }, (_, index) => rule(index));
  const large: NftTable = { family: 'ipv4', name: 'large', chains: [{ ...chain, rules }] };
  replaceNftTables(socket, [large]);
  assert.equal(listNftRules(socket, 'ipv4').length, 3000);
  const wrong = [...isForThisHost(), ...translateDestination(Uint8Array.of(10, 213, 0, 1), 80)];
  const broken: NftTable = { ...large, chains: [{ ...chain, rules: [...rules, wrong, ...rules] }] };
  assert.throws(() => replaceNftTables(socket, [broken]), { syscall: 'NFT_MSG_NEWRULE' });
  assert.equal(listNftRules(socket, 'ipv4').length, 3000);
  replaceNftTables(socket, [{ ...large, chains: [] }]);
  assert.deepEqual(listNftTables(socket, 'ipv4'), []);
});

test('a list of more links than one datagram holds is whole', { skip }, () => {
  using socket = NetlinkSocket.open('route');
  const names = Array.from({ length: 30 }, (_, index) => `br-many-${index}`);
  for (const [index, name] of names.entries()) createBridge(socket, { name, address: mac(index) });
  try {
    const found = new Set(listLinks(socket).map(({ name }) => name));
    assert.ok(names.every((name) => found.has(name)));
  } finally {
    for (const name of names) deleteLinkIfThere(socket, name);
  }
});

test('without the right to it the kernel says so', { skip }, () => {
  const script = `
    import { NetlinkSocket, createBridge } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    process.setgid(65534); process.setuid(65534);
    using socket = NetlinkSocket.open('route');
    try {
      createBridge(socket, { name: 'br-no', address: new Uint8Array(6) });
    } catch (error) { console.log(error.code); }`;
  const output = execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  assert.equal(output, 'EPERM\n');
});
