/** Brings the kernel's packet filters to what the records say. */
import type { Stored } from '@hcsshim/hcn';
import { NetlinkSocket, replaceNftTables } from '@hcsshim/linux/netlink';
import type { HostComputeLoadBalancer } from '@hcsshim/schema/hcn';
import { aclTable } from './acl.ts';
import { filterNetwork } from './bridge.ts';
import { filterInterfaces } from './interface.ts';
import { loadBalancerTableName } from './link-names.ts';
import { endpointsInNamespace, endpointsOfNetwork } from './lookups.ts';
import type { NetworkState } from './network-state.ts';
import { loadBalancerTable } from './packet-filter.ts';

/** Ports of the host are mapped by the policies of endpoints. */
export function filterByEndpoints(state: NetworkState, networkId: string): void {
  const network = state.read('networks', networkId);
  if (network !== undefined) filterNetwork(network.document, endpointsOfNetwork(state, networkId));
}

export function filterByAcls(state: NetworkState, namespaceId: string): void {
  const interfaces = endpointsInNamespace(state, namespaceId).map(({ document, attachment }) => ({
    document,
    interfaceName: attachment.interfaceName,
  }));
  filterInterfaces(state.namespacePath(namespaceId), aclTable(interfaces));
}

export function filterByLoadBalancer(state: NetworkState, balancer: Stored<HostComputeLoadBalancer>): void {
  const endpoints = (balancer.HostComputeEndpoints ?? []).flatMap((id) => {
    const endpoint = state.read('endpoints', id);
    return endpoint === undefined ? [] : [endpoint.document];
  });
  using filter = NetlinkSocket.open('netfilter');
  replaceNftTables(filter, [loadBalancerTable(balancer, endpoints)]);
}

/** What is not there is no error. */
export function removeLoadBalancer(id: string): void {
  using filter = NetlinkSocket.open('netfilter');
  replaceNftTables(filter, [{ family: 'ipv4', name: loadBalancerTableName(id), chains: [] }]);
}
