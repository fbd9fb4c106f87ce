import { faultOfNetwork, type Stored } from '@hcsshim/hcn';
import { listAddresses, listRoutes, NetlinkSocket } from '@hcsshim/linux/netlink';
import {
  checkDocument,
  type DNS,
  type HostComputeNetwork,
  type ModifyNetworkSettingRequest,
  type NetworkMode,
  type NetworkPolicy,
} from '@hcsshim/schema/hcn';
import { makeNetwork, removeNetwork } from './bridge.ts';
import { networkOf, type Prefix } from './ipv4.ts';
import { endpointsOfNetwork } from './lookups.ts';
import { checkMacPool, defaultMacPool } from './mac-pool.ts';
import type { NetworkRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { adapterOf, changePolicies, checkNetworkPolicies } from './policies.ts';
import { notSupported, Refusal } from './refusal.ts';
import type { ObjectKind } from './stored-objects.ts';
import { assertFree, subnetsOf, typesWithHostAddress, withSubnet } from './subnets.ts';

const types: ReadonlySet<NetworkMode> = new Set<NetworkMode>([
  'NAT',
  'Internal',
  'Private',
  'L2Bridge',
  'Transparent',
]);
/** EnableNonPersistent: with the state in /run nothing outlives the host's boot. */
const knownFlags = 8;

export function networkKind(
  state: NetworkState,
): ObjectKind<'networks', HostComputeNetwork, ModifyNetworkSettingRequest> {
  return {
    kind: 'networks',
    noun: 'network',
    nouns: 'networks',
    notFound: 'HCN_E_NETWORK_NOT_FOUND',
    alreadyExists: 'HCN_E_NETWORK_ALREADY_EXISTS',
    events: {
      creates: 'NetworkPreCreate',
      created: 'NetworkCreate',
      deletes: 'NetworkPreDelete',
      deleted: 'NetworkDelete',
    },
    checkDocument: (document) => checkDocument('HostComputeNetwork', document),
    faultOf: faultOfNetwork,
    checkRequest: (request) => {
      checkDocument('ModifyNetworkSettingRequest', request);
      if (request.ResourceType === 'Policy') checkDocument('PolicyNetworkRequest', request.Settings ?? {});
      if (request.ResourceType === 'DNS') checkDocument('DNS', request.Settings ?? {});
    },
    create: (document, undo) => createNetwork(state, document, undo),
    modify: (record, request) => ({ ...record, document: modifyNetwork(record.document, request) }),
    delete({ document }) {
      const [endpoint] = endpointsOfNetwork(state, document.ID);
      if (endpoint !== undefined)
        throw new Refusal(
          'HCN_E_ENTITY_HAS_REFERENCES',
          `endpoint "${endpoint.ID}" is in it, delete its endpoints first`,
        );
      removeNetwork(document.ID);
    },
  };
}

function createNetwork(
  state: NetworkState,
  document: Stored<HostComputeNetwork>,
  undo: DisposableStack,
): NetworkRecord {
  const { ID: id, Type: type = 'NAT', Name: name, Flags = 0 } = document;
  if (!types.has(type))
    throw notSupported(
      `networks of type "${type}" are not made on Linux, the types are ${[...types].join(', ')}`,
    );
  if ((Flags & ~knownFlags) !== 0)
    throw notSupported(`"Flags" is ${Flags}, of which only EnableNonPersistent (8) has a meaning on Linux`);
  checkNetworkPolicies(document.Policies);
  checkMacPool(document.MacPool);
  const others = state.list('networks').map((record) => record.document);
  if (name && others.some((other) => other.Name === name))
    throw new Refusal('HCN_E_NETWORK_ALREADY_EXISTS', `a network has the name "${name}"`);
  const taken = takenPrefixes(others);
  // What is asked for is looked at before anything is added.
  subnetsOf(document);
  const filled = {
    ...withSubnet(
      document,
      taken.map(({ prefix }) => prefix),
    ),
    ID: id,
  };
  const subnets = subnetsOf(filled);
  assertFree(subnets, typesWithHostAddress.has(type) ? taken : []);
  const network: Stored<HostComputeNetwork> = {
    Flags: 0,
    Ipams: [],
    MacPool: defaultMacPool(id),
    Policies: [],
    ...filled,
    Type: type,
  };
  makeNetwork(network, [], state.root, undo);
  return { version: 1, document: network };
}

/** What the host could not tell a network's subnet from: subnets of other networks, the host's own. */
function takenPrefixes(networks: readonly Stored<HostComputeNetwork>[]): { prefix: Prefix; by: string }[] {
  const ofNetworks = networks
    .filter(({ Type = 'NAT' }) => typesWithHostAddress.has(Type))
    .flatMap((network) =>
      subnetsOf(network).map(({ prefix }) => ({
        prefix,
        by: `network "${network.Name ?? network.ID}"`,
      })),
    );
  using socket = NetlinkSocket.open('route');
  const addresses = listAddresses(socket)
    .filter(({ address }) => address.length === 4)
    .map(({ address, prefixLength }) => asPrefix(address, prefixLength));
  const routes = listRoutes(socket)
    .filter(({ prefixLength }) => prefixLength > 0)
    .map(({ destination, prefixLength }) => asPrefix(destination, prefixLength));
  return [...ofNetworks, ...[...addresses, ...routes].map((prefix) => ({ prefix, by: 'the host itself' }))];
}

function asPrefix(address: Uint8Array, length: number): Prefix {
  return { network: networkOf(Buffer.from(address).readUInt32BE(), length), length };
}

function modifyNetwork(
  network: Stored<HostComputeNetwork>,
  request: ModifyNetworkSettingRequest,
): Stored<HostComputeNetwork> {
  const { RequestType: type = 'Add', ResourceType: resource, Settings = {} } = request;
  if (type === 'Refresh') return network;
  if (resource === 'DNS' && type !== 'Reset') {
    const { Dns: _, ...rest } = network;
    return type === 'Remove' ? rest : { ...rest, Dns: Settings as DNS };
  }
  if (resource === 'Policy' && type !== 'Reset') {
    const given = (Settings as { Policies?: NetworkPolicy[] }).Policies ?? [];
    checkNetworkPolicies(given);
    const Policies = changePolicies(network.Policies ?? [], given, type);
    const changed = { ...network, Policies };
    if (adapterOf(changed) !== adapterOf(network))
      throw notSupported('the adapter of a network cannot be changed, delete and create the network');
    return changed;
  }
  throw notSupported(`the request "${type}" of "${resource}" is not carried out for networks on Linux`);
}
