import { EndpointFlags, faultOfEndpoint, type Stored } from '@hcsshim/hcn';
import {
  checkDocument,
  type EndpointPolicy,
  type HostComputeEndpoint,
  type HostComputeNetwork,
  type IpConfig,
  type ModifyEndpointSettingRequest,
} from '@hcsshim/schema/hcn';
import { chooseAddresses } from './address-pool.ts';
import { filterByAcls, filterByEndpoints, filterByLoadBalancer } from './filters.ts';
import { hostDns } from './host-dns.ts';
import { detachInterface } from './interface.ts';
import { routesOf } from './interface-routes.ts';
import { isIn, parseIpv4, readIpv4 } from './ipv4.ts';
import { allEndpoints, endpointsOfNetwork, isRemote } from './lookups.ts';
import { chooseMac } from './mac-pool.ts';
import type { EndpointRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import {
  assertPortsFree,
  changePolicies,
  checkEndpointPolicies,
  hasAutomaticDns,
  mtuOf,
  portMappingsOf,
} from './policies.ts';
import { notSupported, Refusal } from './refusal.ts';
import type { ObjectKind } from './stored-objects.ts';
import { subnetsOf } from './subnets.ts';

export function endpointKind(
  state: NetworkState,
): ObjectKind<'endpoints', HostComputeEndpoint, ModifyEndpointSettingRequest> {
  return {
    kind: 'endpoints',
    noun: 'endpoint',
    nouns: 'endpoints',
    notFound: 'HCN_E_ENDPOINT_NOT_FOUND',
    alreadyExists: 'ERROR_ALREADY_EXISTS',
    checkDocument: (document) => checkDocument('HostComputeEndpoint', document),
    faultOf: faultOfEndpoint,
    checkRequest: (request) => {
      checkDocument('ModifyEndpointSettingRequest', request);
      if (request.ResourceType === 'Policy') checkDocument('PolicyEndpointRequest', request.Settings ?? {});
    },
    tell: (records) =>
      records.map(({ document, attachment }) =>
        attachment === undefined ? document : { ...document, HostComputeNamespace: attachment.namespaceId },
      ),
    create(document, undo) {
      const record: EndpointRecord = { version: 1, document: newEndpoint(state, document) };
      store(state, record, undo);
      return record;
    },
    modify(record, request, undo) {
      const changed = { ...record, document: modifyEndpoint(state, record, request) };
      store(state, changed, undo);
      return changed;
    },
    delete(record) {
      const { ID: id, HostComputeNetwork: networkId = '' } = record.document;
      detachInterface(id);
      state.remove('endpoints', id);
      letGo(state, id);
      if (portMappingsOf(record.document).length > 0) filterByEndpoints(state, networkId);
    },
  };
}

/** Writes the record and lets the packet filters follow it, where its policies have to do with them. */
function store(state: NetworkState, record: EndpointRecord, undo: DisposableStack): void {
  const { ID: id, HostComputeNetwork: networkId = '' } = record.document;
  const before = state.read('endpoints', id)?.document;
  const concerns = (type: EndpointPolicy['Type']): boolean =>
    [before, record.document].some((one) => (one?.Policies ?? []).some((policy) => policy.Type === type));
  const follow = (): void => {
    if (concerns('PortMapping')) filterByEndpoints(state, networkId);
    if (record.attachment !== undefined && concerns('ACL'))
      filterByAcls(state, record.attachment.namespaceId);
  };
  // Deferred first, so that it comes after the old record is back.
  undo.defer(follow);
  state.write('endpoints', record, undo);
  follow();
}

function newEndpoint(
  state: NetworkState,
  document: Stored<HostComputeEndpoint>,
): Stored<HostComputeEndpoint> {
  const networkId = (document.HostComputeNetwork ?? '').toLowerCase();
  const network = state.read('networks', networkId)?.document;
  if (network === undefined)
    throw new Refusal('HCN_E_NETWORK_NOT_FOUND', `no network has the id "${networkId}"`);
  const { Flags = 0 } = document;
  if ((Flags & ~EndpointFlags.RemoteEndpoint) !== 0)
    throw notSupported(`"Flags" is ${Flags}, of which only RemoteEndpoint (1) has a meaning on Linux`);
  checkEndpointPolicies(network.Type ?? 'NAT', document.Policies);
  assertPortsFree(document, allEndpoints(state));
  const neighbours = endpointsOfNetwork(state, networkId);
  const dns = dnsOf(document, network);
  const addresses = addressesOf(document, network, neighbours);
  const first = parseIpv4(addresses[0]?.IpAddress ?? '');
  const endpoint: Stored<HostComputeEndpoint> = {
    Policies: [],
    ...document,
    Flags,
    HostComputeNetwork: networkId,
    MacAddress: chooseMac(network.MacPool, document.MacAddress, first, ownersOfMacs(neighbours)),
    IpConfigurations: addresses,
    ...(dns === undefined ? {} : { Dns: dns }),
  };
  const routed =
    isRemote(endpoint) || document.Routes !== undefined
      ? endpoint
      : { ...endpoint, Routes: routesThroughGateways(network, endpoint.IpConfigurations ?? []) };
  if (!isRemote(routed)) routesOf(routed, []);
  return routed;
}

function addressesOf(
  document: HostComputeEndpoint,
  network: HostComputeNetwork,
  neighbours: readonly Stored<HostComputeEndpoint>[],
): IpConfig[] {
  const { IpConfigurations } = document;
  if (isRemote(document)) {
    for (const { IpAddress = '' } of IpConfigurations ?? []) readIpv4('IpAddress', IpAddress);
    return IpConfigurations ?? [];
  }
  const taken = new Map<number, string>();
  for (const neighbour of neighbours) {
    for (const { IpAddress = '' } of neighbour.IpConfigurations ?? []) {
      const address = parseIpv4(IpAddress);
      if (address !== undefined) taken.set(address, neighbour.ID);
    }
  }
  return chooseAddresses(subnetsOf(network), IpConfigurations, taken);
}

function ownersOfMacs(neighbours: readonly Stored<HostComputeEndpoint>[]): Map<string, string> {
  return new Map(neighbours.map(({ MacAddress = '', ID }) => [MacAddress, ID]));
}

/** The routes of the subnets that the endpoint has an address in. */
function routesThroughGateways(
  network: HostComputeNetwork,
  addresses: readonly IpConfig[],
): NonNullable<HostComputeEndpoint['Routes']> {
  const [first] = addresses;
  const subnets = (network.Ipams ?? []).flatMap(({ Subnets }) => Subnets ?? []);
  const own = parseIpv4(first?.IpAddress ?? '');
  const index = subnetsOf(network).findIndex(({ prefix }) => own !== undefined && isIn(prefix, own));
  // The others' default routes would be second ones.
  return subnets[index]?.Routes ?? [];
}

function dnsOf(document: HostComputeEndpoint, network: HostComputeNetwork): HostComputeEndpoint['Dns'] {
  return document.Dns ?? network.Dns ?? (hasAutomaticDns(network) ? hostDns() : undefined);
}

function modifyEndpoint(
  state: NetworkState,
  { document: endpoint, attachment }: EndpointRecord,
  request: ModifyEndpointSettingRequest,
): Stored<HostComputeEndpoint> {
  const { RequestType: type = 'Add', ResourceType: resource, Settings = {} } = request;
  if (type === 'Refresh') return endpoint;
  if (resource === 'Port')
    throw notSupported(
      'a "Port" is an adapter of a VM, and VMs have none on Linux; attach it to a namespace',
    );
  if (resource !== 'Policy' || type === 'Reset')
    throw notSupported(`the request "${type}" of "${resource}" is not carried out for endpoints on Linux`);
  const given = (Settings as { Policies?: EndpointPolicy[] }).Policies ?? [];
  const network = state.read('networks', endpoint.HostComputeNetwork ?? '')?.document;
  checkEndpointPolicies(network?.Type ?? 'NAT', given);
  const changed = { ...endpoint, Policies: changePolicies(endpoint.Policies ?? [], given, type) };
  if (attachment !== undefined && mtuOf(changed) !== mtuOf(endpoint))
    throw notSupported('the MTU of an attached endpoint cannot be changed, detach it first');
  assertPortsFree(
    changed,
    allEndpoints(state).filter(({ ID }) => ID !== endpoint.ID),
  );
  return changed;
}

/** Load balancers and routes go on without an endpoint: its address will be another's. */
export function letGo(state: NetworkState, endpointId: string): void {
  const without = <Document extends { HostComputeEndpoints?: string[] }>(document: Document): Document => ({
    ...document,
    HostComputeEndpoints: (document.HostComputeEndpoints ?? []).filter((one) => one !== endpointId),
  });
  const isNamed = ({ document }: { document: { HostComputeEndpoints?: string[] } }): boolean =>
    (document.HostComputeEndpoints ?? []).includes(endpointId);
  for (const record of state.list('routes').filter(isNamed))
    state.write('routes', { ...record, document: without(record.document) });
  for (const record of state.list('load-balancers').filter(isNamed)) {
    const changed = { ...record, document: without(record.document) };
    state.write('load-balancers', changed);
    filterByLoadBalancer(state, changed.document);
  }
}
