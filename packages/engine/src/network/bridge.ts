import { readFileSync, writeFileSync } from 'node:fs';
import type { Stored } from '@hcsshim/hcn';
import {
  addAddress,
  changeLink,
  createBridge,
  deleteLinkIfThere,
  findLink,
  type Link,
  listAddresses,
  NetlinkSocket,
  replaceNftTables,
} from '@hcsshim/linux/netlink';
import type { HostComputeEndpoint, HostComputeNetwork } from '@hcsshim/schema/hcn';
import { ipv4Bytes, lastOf } from './ipv4.ts';
import { bridgeName, linkAlias, networkTableName } from './link-names.ts';
import { bridgeMac } from './mac-pool.ts';
import { networkTable } from './packet-filter.ts';
import { adapterOf } from './policies.ts';
import { notSupported, Refusal } from './refusal.ts';
import { subnetsOf, typesWithHostAddress } from './subnets.ts';

const linkLocal = 0xfe80;

/**
 * Makes what the kernel has of a network: its bridge, the host's addresses on that, its packet filter. The mark comes
 * last: a bridge that has it is complete.
 */
export function makeNetwork(
  network: Stored<HostComputeNetwork>,
  endpoints: readonly HostComputeEndpoint[],
  stateRoot: string,
  undo: DisposableStack,
): void {
  const { ID: id, Type: type = 'NAT' } = network;
  const name = bridgeName(id);
  using socket = NetlinkSocket.open('route');
  if (findLink(socket, name) !== undefined)
    throw new Refusal('ERROR_ALREADY_EXISTS', `the host has a link "${name}" already, choose another id`);
  const adapter = adapterOf(network);
  if (adapter !== undefined) checkAdapter(socket, type, adapter);
  undo.defer(() => removeNetwork(id));
  createBridge(socket, { name, address: bridgeMac(id) });
  disableIpv6(name);
  const { index } = findLink(socket, name) as Link;
  if (typesWithHostAddress.has(type)) {
    for (const { gateway, prefix } of subnetsOf(network)) {
      const broadcast = ipv4Bytes(lastOf(prefix));
      addAddress(socket, { index, address: ipv4Bytes(gateway), prefixLength: prefix.length, broadcast });
    }
  }
  if (adapter !== undefined) {
    undo.defer(() => releaseAdapter(adapter));
    changeLink(socket, adapter, { master: index, up: true });
  }
  if (type === 'NAT') enableForwarding();
  filterNetwork(network, endpoints);
  changeLink(socket, name, { alias: linkAlias('network', id, stateRoot) });
}

/** Removes what the kernel has of a network; what is not there is no error. A port that was an adapter is free then. */
export function removeNetwork(id: string): void {
  using socket = NetlinkSocket.open('route');
  deleteLinkIfThere(socket, bridgeName(id));
  using filter = NetlinkSocket.open('netfilter');
  replaceNftTables(filter, [{ family: 'ipv4', name: networkTableName(id), chains: [] }]);
}

/** Puts the packet filter in the place of the one that there is. */
export function filterNetwork(
  network: Stored<HostComputeNetwork>,
  endpoints: readonly HostComputeEndpoint[],
): void {
  using filter = NetlinkSocket.open('netfilter');
  replaceNftTables(filter, [networkTable(network, endpoints)]);
}

/**
 * Turns IPv6 off for a link, in the network namespace of this thread. The packet filters here are for IPv4, and
 * nothing shall pass them by.
 */
export function disableIpv6(link: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${link}/disable_ipv6`, '1');
  } catch (error) {
    // A kernel without IPv6 has nothing to turn off.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Stays on when the network goes: somebody else may have come to rely on it. */
function enableForwarding(): void {
  const path = '/proc/sys/net/ipv4/ip_forward';
  if (readFileSync(path, 'latin1').trim() === '0') writeFileSync(path, '1');
}

function checkAdapter(socket: NetlinkSocket, type: string, name: string): void {
  if (type !== 'L2Bridge' && type !== 'Transparent')
    throw notSupported(`a network of type "${type}" takes no adapter, only "L2Bridge" and "Transparent" do`);
  const link = findLink(socket, name);
  if (link === undefined) throw new Refusal('HCN_E_ADAPTER_NOT_FOUND', `the host has no adapter "${name}"`);
  if (link.master !== undefined)
    throw new Refusal('HCN_E_SHARED_SWITCH_MODIFICATION', `adapter "${name}" is a port of another bridge`);
  const addresses = listAddresses(socket).filter(
    ({ index, address }) => index === link.index && !isLinkLocal(address),
  );
  if (addresses.length > 0)
    throw notSupported(
      `adapter "${name}" has an address of the host, which a bridge's port cannot use, take one without`,
    );
}

function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && (((address[0] ?? 0) << 8) | (address[1] ?? 0)) === linkLocal;
}

function releaseAdapter(name: string): void {
  using socket = NetlinkSocket.open('route');
  if (findLink(socket, name) !== undefined) changeLink(socket, name, { master: 0 });
}
