import { closeSync } from 'node:fs';
import type { Stored } from '@hcsshim/hcn';
import {
  addAddress,
  addRoute,
  changeLink,
  createVeth,
  deleteLinkIfThere,
  deleteRoute,
  findLink,
  inNetworkNamespace,
  isNamespaceMount,
  type Link,
  listLinks,
  NetlinkSocket,
  type NftTable,
  openNetworkNamespace,
  replaceNftTables,
} from '@hcsshim/linux/netlink';
import type { HostComputeEndpoint } from '@hcsshim/schema/hcn';
import { disableIpv6 } from './bridge.ts';
import { type InterfaceRoute, isSameRoute } from './interface-routes.ts';
import { ipv4Bytes, lastOf, networkOf, readIpv4 } from './ipv4.ts';
import { bridgeName, linkAlias, portName } from './link-names.ts';
import { macBytes } from './mac-pool.ts';
import { mtuOf } from './policies.ts';
import { Refusal } from './refusal.ts';

/** Of routes to one destination by several interfaces the first interface's wins. */
const metricStep = 100;

export interface InterfaceOptions {
  endpoint: Stored<HostComputeEndpoint>;
  networkId: string;
  /** File of the namespace. */
  namespacePath: string;
  routes: readonly InterfaceRoute[];
  /** @default the first of eth0, eth1 … that is free */
  interfaceName?: string;
  /** The packet filter of the namespace, by the interface's name: set before the interface is up. */
  filter: (interfaceName: string) => NftTable;
  stateRoot: string;
}

/**
 * Connects an endpoint: a link of which one end is a port of the network's bridge and the other an interface of the
 * namespace, with the endpoint's addresses and routes. An endpoint that is nowhere has nothing in the kernel: its end
 * would lie about in the host's namespace, and one that is in a namespace goes when that does.
 *
 * @returns the name of the interface.
 */
export function attachInterface(options: InterfaceOptions, undo: DisposableStack): string {
  const { endpoint, networkId, routes, stateRoot } = options;
  using namespace = enter(options.namespacePath);
  using host = NetlinkSocket.open('route');
  const bridge = findLink(host, bridgeName(networkId));
  if (bridge === undefined)
    throw new Refusal('HCN_E_SWITCH_NOT_FOUND', `the bridge of network "${networkId}" is not there`);
  const name = options.interfaceName ?? firstFreeName(listLinks(namespace.route));
  const port = portName(endpoint.ID);
  undo.defer(() => detachInterface(endpoint.ID));
  createVeth(host, {
    name: port,
    master: bridge.index,
    mtu: mtuOf(endpoint),
    peer: { name, address: macBytes(endpoint.MacAddress ?? ''), namespaceFd: namespace.fd },
  });
  // Where the kernel shows bridged packets to the packet filter, one that an endpoint sends to its own mapped port
  // turns round in the bridge already.
  changeLink(host, port, { hairpin: true });
  inNetworkNamespace(namespace.fd, () => disableIpv6(name));
  replaceFilter(namespace.fd, options.filter(name));
  changeLink(namespace.route, name, { up: true });
  const { index } = findLink(namespace.route, name) as Link;
  for (const { IpAddress = '', PrefixLength = 32 } of endpoint.IpConfigurations ?? []) {
    const address = readIpv4('IpAddress', IpAddress);
    const prefix = { network: networkOf(address, PrefixLength), length: PrefixLength };
    const broadcast = ipv4Bytes(lastOf(prefix));
    addAddress(namespace.route, {
      index,
      address: ipv4Bytes(address),
      prefixLength: PrefixLength,
      broadcast,
    });
  }
  for (const route of ofInterface(name, routes)) addRoute(namespace.route, { ...route, index });
  // Last: a link that has the mark is complete.
  changeLink(host, port, { alias: linkAlias('endpoint', endpoint.ID, stateRoot) });
  return name;
}

/** Takes an endpoint out of its namespace. With the one end of its link goes the other. */
export function detachInterface(endpointId: string): void {
  using host = NetlinkSocket.open('route');
  deleteLinkIfThere(host, portName(endpointId));
}

/** Brings the routes of an interface from what they were to what they shall be. What is so already is no error. */
export function changeRoutes(
  { namespacePath, interfaceName }: { namespacePath: string; interfaceName: string },
  before: readonly InterfaceRoute[],
  after: readonly InterfaceRoute[],
): void {
  using namespace = enter(namespacePath);
  const link = findLink(namespace.route, interfaceName);
  if (link === undefined)
    throw new Refusal('HCN_E_ENDPOINT_NOT_ATTACHED', `interface "${interfaceName}" has left its namespace`);
  const { index } = link;
  const [old, wanted] = [ofInterface(interfaceName, before), ofInterface(interfaceName, after)];
  for (const route of missingIn(wanted, old))
    tolerating('ESRCH', () => deleteRoute(namespace.route, { ...route, index }));
  for (const route of missingIn(old, wanted))
    tolerating('EEXIST', () => addRoute(namespace.route, { ...route, index }));
}

/** Those of `routes` that are not among `others`. */
function missingIn(others: readonly InterfaceRoute[], routes: readonly InterfaceRoute[]): InterfaceRoute[] {
  return routes.filter((route) => !others.some((one) => isSameRoute(one, route)));
}

function tolerating(code: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== code) throw error;
  }
}

/** Puts a packet filter of a namespace in the place of the one that there is. */
export function filterInterfaces(namespacePath: string, table: NftTable): void {
  using namespace = enter(namespacePath);
  replaceFilter(namespace.fd, table);
}

function replaceFilter(namespaceFd: number, table: NftTable): void {
  using filter = inNetworkNamespace(namespaceFd, () => NetlinkSocket.open('netfilter'));
  replaceNftTables(filter, [table]);
}

/** A namespace with a socket in it. */
interface Entered extends Disposable {
  fd: number;
  route: NetlinkSocket;
}

function enter(path: string): Entered {
  if (!isNamespaceMount(path))
    throw new Refusal(
      'ERROR_NOT_READY',
      `no network namespace is mounted on "${path}" here, run in the mount namespace in which it was made`,
    );
  const fd = openNetworkNamespace(path);
  try {
    const route = inNetworkNamespace(fd, () => NetlinkSocket.open('route'));
    return {
      fd,
      route,
      [Symbol.dispose]() {
        route[Symbol.dispose]();
        closeSync(fd);
      },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function ofInterface(name: string, routes: readonly InterfaceRoute[]): InterfaceRoute[] {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  return routes.map((route) => ({ ...route, metric: (route.metric ?? 0) + number * metricStep }));
}

function firstFreeName(links: readonly Link[]): string {
  const taken = new Set(links.map(({ name }) => name));
  for (let number = 0; ; number++) if (!taken.has(`eth${number}`)) return `eth${number}`;
}
