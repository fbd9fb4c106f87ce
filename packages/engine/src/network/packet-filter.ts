import type { Stored } from '@hcsshim/hcn';
import {
  addressIn,
  isDestinationTranslated,
  isEstablished,
  isForThisHost,
  linkIs,
  masquerade,
  type NftChain,
  type NftExpression,
  type NftTable,
  oneIn,
  portIs,
  protocolIs,
  sourceHashIs,
  translateDestination,
  verdict,
} from '@hcsshim/linux/netlink';
import type { HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNetwork } from '@hcsshim/schema/hcn';
import { ipv4Bytes, maskOf, type Prefix, parseIpv4, readIpv4 } from './ipv4.ts';
import { bridgeName, loadBalancerTableName, networkTableName } from './link-names.ts';
import { portMappingsOf } from './policies.ts';
import { notSupported, Refusal } from './refusal.ts';
import { subnetsOf } from './subnets.ts';

/** `NF_IP_PRI_*` of `linux/netfilter_ipv4.h`. */
const priorities = { destinationNat: -100, filter: 0, sourceNat: 100 } as const;

const loopback: Prefix = { network: 127 * 2 ** 24, length: 8 };

/**
 * The packet filter of a network, by its type:
 *
 * - NAT: packets from its subnets leave the host from the host's address. From elsewhere come answers, and what is for
 *   a mapped port; nothing else.
 * - Internal: its bridge's host is all that it reaches; nothing is forwarded.
 * - Others are bridges alone, and have none.
 */
export function networkTable(
  network: Stored<HostComputeNetwork>,
  endpoints: readonly HostComputeEndpoint[],
): NftTable {
  const { ID: id, Type: type = 'NAT' } = network;
  const table = (chains: NftChain[]): NftTable => ({ family: 'ipv4', name: networkTableName(id), chains });
  const bridge = bridgeName(id);
  if (type === 'Internal') return table([forwardChain(forwardsNothing(bridge))]);
  if (type !== 'NAT') return table([]);
  const prefixes = subnetsOf(network).map(({ prefix }) => prefix);
  return table([
    {
      name: 'postrouting',
      type: 'nat',
      hook: 'postrouting',
      priority: priorities.sourceNat,
      rules: prefixes.flatMap(leavesFromHostAddress),
    },
    forwardChain(forwardsAnswersAlone(bridge)),
    ...translations(endpoints.flatMap(mappedPorts)),
  ]);
}

function forwardChain(rules: NftExpression[][]): NftChain {
  return { name: 'forward', type: 'filter', hook: 'forward', priority: priorities.filter, rules };
}

/** Between ports of the bridge packets pass, also where the kernel shows bridged ones to this filter. */
function fromOutside(bridge: string): NftExpression[] {
  return [...linkIs('out', bridge), ...linkIs('in', bridge, '!=')];
}

function forwardsNothing(bridge: string): NftExpression[][] {
  return [
    [...fromOutside(bridge), ...verdict('drop')],
    [...linkIs('in', bridge), ...linkIs('out', bridge, '!='), ...verdict('drop')],
  ];
}

function forwardsAnswersAlone(bridge: string): NftExpression[][] {
  return [
    [...fromOutside(bridge), ...isEstablished(), ...verdict('accept')],
    [...fromOutside(bridge), ...isDestinationTranslated(), ...verdict('accept')],
    [...fromOutside(bridge), ...verdict('drop')],
  ];
}

function leavesFromHostAddress(prefix: Prefix): NftExpression[][] {
  return [
    [...within('source', prefix), ...within('destination', prefix, '!='), ...masquerade()],
    // A neighbour that came by a mapped port must be answered by the way that it came, not directly.
    [
      ...within('source', prefix),
      ...within('destination', prefix),
      ...isDestinationTranslated(),
      ...masquerade(),
    ],
  ];
}

function within(
  end: 'source' | 'destination',
  { network, length }: Prefix,
  comparison: '==' | '!=' = '==',
): NftExpression[] {
  return addressIn(end, ipv4Bytes(network), ipv4Bytes(maskOf(length)), comparison);
}

/** A destination that is taken for another. */
interface Translation {
  /** The one address that it is for. @default all addresses of this host */
  address?: number | undefined;
  protocol: number;
  port: number;
  /** One is chosen. */
  to: { address: number; port: number }[];
  /** How. */
  by: 'chance' | 'source address';
}

function mappedPorts(endpoint: HostComputeEndpoint): Translation[] {
  const address = addressOf(endpoint);
  if (address === undefined) return [];
  return portMappingsOf(endpoint).map((mapping) => ({
    address: mapping.address,
    protocol: mapping.protocol,
    port: mapping.externalPort,
    to: [{ address, port: mapping.internalPort }],
    by: 'chance',
  }));
}

/** The packet filter of a load balancer. Those of its endpoints that have no address get nothing. */
export function loadBalancerTable(
  balancer: Stored<HostComputeLoadBalancer>,
  endpoints: readonly HostComputeEndpoint[],
): NftTable {
  const addresses = endpoints.map(addressOf).filter((address) => address !== undefined);
  const { FrontendVIPs = [], PortMappings = [] } = balancer;
  const vips = FrontendVIPs.map((text) => readIpv4('FrontendVIPs', text));
  const translated = PortMappings.flatMap(
    ({ Protocol = 0, InternalPort = 0, ExternalPort = 0, DistributionType = 0 }) =>
      (vips.length === 0 ? [undefined] : vips).map(
        (address): Translation => ({
          address,
          protocol: Protocol,
          port: ExternalPort,
          to: addresses.map((one) => ({ address: one, port: InternalPort })),
          by: DistributionType === 0 ? 'chance' : 'source address',
        }),
      ),
  );
  return { family: 'ipv4', name: loadBalancerTableName(balancer.ID), chains: translations(translated) };
}

/** `LoadBalancerPortMappingFlags` that mean something here: none of an internal one, or a VIP routed locally, is lost. */
const knownPortMappingFlags = 1 | 2;
/** `LoadBalancerFlags.DirectServerReturn`. */
const directServerReturn = 1;

/** Throws for a load balancer that cannot be carried out. */
export function checkLoadBalancer(balancer: HostComputeLoadBalancer): void {
  const { FrontendVIPs = [], PortMappings = [], Flags = 0, SourceVIP } = balancer;
  for (const text of FrontendVIPs) readIpv4('FrontendVIPs', text);
  if (SourceVIP) readIpv4('SourceVIP', SourceVIP);
  if ((Flags & ~directServerReturn) !== 0)
    throw notSupported(`load balancers on Linux have IPv4 only, "Flags" ${Flags} asks for more`);
  if (SourceVIP && (Flags & directServerReturn) === 0)
    throw notSupported(
      '"SourceVIP" is not carried out, endpoints see where connections come from; leave it out or set DirectServerReturn',
    );
  for (const { Protocol = 0, InternalPort = 0, ExternalPort = 0, Flags: flags = 0 } of PortMappings) {
    if ((flags & ~knownPortMappingFlags) !== 0)
      throw notSupported(`a port mapping has flags ${flags}, there is no multiplexer and no kept address`);
    if (Protocol !== 6 && Protocol !== 17)
      throw new Refusal(
        'E_INVALIDARG',
        `a port mapping has protocol ${Protocol}, it must be 6 (TCP) or 17 (UDP)`,
      );
    if (InternalPort === 0 || ExternalPort === 0)
      throw new Refusal(
        'HCN_E_INVALID_INTERNAL_PORT',
        'a port mapping needs "InternalPort" and "ExternalPort"',
      );
  }
}

/** Connections that come to the host, and those that it opens itself. */
function translations(all: readonly Translation[]): NftChain[] {
  const used = all.filter(({ to }) => to.length > 0);
  if (used.length === 0) return [];
  const nat = { type: 'nat', priority: priorities.destinationNat } as const;
  return [
    { ...nat, name: 'prerouting', hook: 'prerouting', rules: used.flatMap((one) => rulesOf(one, [])) },
    {
      ...nat,
      name: 'output',
      hook: 'output',
      // A packet that is for the loopback cannot leave by another link.
      rules: used.flatMap((one) => rulesOf(one, within('destination', loopback, '!='))),
    },
  ];
}

/** Of the choices that are left the first gets its share, the last all that remains. */
function rulesOf({ address, protocol, port, to, by }: Translation, also: NftExpression[]): NftExpression[][] {
  const destination =
    address === undefined ? isForThisHost() : within('destination', { network: address, length: 32 });
  return to.map((target, index) => {
    const left = to.length - index;
    const choice = by === 'source address' ? sourceHashIs(index, to.length) : left === 1 ? [] : oneIn(left);
    return [
      ...destination,
      ...also,
      ...protocolIs(protocol),
      ...portIs('destination', port),
      ...(to.length === 1 ? [] : choice),
      ...translateDestination(ipv4Bytes(target.address), target.port),
    ];
  });
}

function addressOf({ IpConfigurations }: HostComputeEndpoint): number | undefined {
  return parseIpv4(IpConfigurations?.[0]?.IpAddress ?? '');
}
