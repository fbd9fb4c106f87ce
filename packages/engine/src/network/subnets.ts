import type { HostComputeNetwork, NetworkMode, Subnet } from '@hcsshim/schema/hcn';
import {
  formatIpv4,
  formatPrefix,
  isIn,
  lastOf,
  overlaps,
  type Prefix,
  readIpv4,
  readPrefix,
} from './ipv4.ts';
import { notSupported, Refusal } from './refusal.ts';

/** A subnet of a network, as its document has it. */
export interface NetworkSubnet {
  prefix: Prefix;
  /** Next hop of the default route. */
  gateway: number;
  /** Whether an endpoint may have the gateway's address. */
  givesGatewayAway: boolean;
}

/** With fewer there are no addresses besides the network's, the gateway's, an endpoint's and the broadcast one. */
const longestPrefix = 30;
const shortestPrefix = 8;
const doNotReserveGatewayAddress = 1;
/** Types in which the host has the gateway's address itself. */
export const typesWithHostAddress: ReadonlySet<NetworkMode> = new Set<NetworkMode>(['NAT', 'Internal']);
const typesWithDhcp: ReadonlySet<NetworkMode> = new Set<NetworkMode>(['L2Bridge', 'Transparent']);
const typesThatNeedSubnet: ReadonlySet<NetworkMode> = new Set<NetworkMode>(['NAT', 'Internal', 'Private']);

/** Where a network gets a subnet from whose document names none: the first of these that is free. */
const unaskedFor: readonly Prefix[] = Array.from({ length: 256 }, (_, index) => ({
  // 172.30.0.0/16, of RFC 1918.
  network: (172 * 256 + 30) * 2 ** 16 + index * 256,
  length: 24,
}));

/** The subnets of a network's document. What the kernel's part cannot do is refused. */
export function subnetsOf({ Type: type = 'NAT', Ipams }: HostComputeNetwork): NetworkSubnet[] {
  return (Ipams ?? []).flatMap((ipam) => {
    if (ipam.Type === 'Dhcp' && !typesWithDhcp.has(type))
      throw notSupported(`a network of type "${type}" has no DHCP server, use an Ipam of type "Static"`);
    return (ipam.Subnets ?? []).map((subnet) => readSubnet(type, subnet));
  });
}

function readSubnet(type: NetworkMode, subnet: Subnet): NetworkSubnet {
  const { IpAddressPrefix: text = '', Routes = [], Policies = [], IpSubnets = [], Flags = 0 } = subnet;
  if (Policies.length > 0)
    throw notSupported(`subnet "${text}" has policies, and bridges on Linux have no VLAN or VSID here`);
  if (IpSubnets.length > 0)
    throw notSupported(`subnet "${text}" has "IpSubnets", give the network a subnet for each`);
  const prefix = readPrefix('IpAddressPrefix', text);
  if (prefix.length > longestPrefix || prefix.length < shortestPrefix)
    throw new Refusal(
      'HCN_E_INVALID_PREFIX',
      `subnet "${text}" must have a prefix of ${shortestPrefix} to ${longestPrefix} bits`,
    );
  const route = Routes.find(({ DestinationPrefix }) => DestinationPrefix === '0.0.0.0/0');
  if (route === undefined) throw notSupported(`subnet "${text}" has no IPv4 default gateway`);
  const gateway = readIpv4('NextHop', route.NextHop ?? '');
  if (!isHostAddress(prefix, gateway))
    throw new Refusal(
      'HCN_E_INVALID_SUBNET',
      `the default gateway ${formatIpv4(gateway)} is no host's address in subnet "${text}"`,
    );
  const isGivenAway = (Flags & doNotReserveGatewayAddress) !== 0;
  return { prefix, gateway, givesGatewayAway: isGivenAway && !typesWithHostAddress.has(type) };
}

/** Neither the network's own nor its broadcast address. */
export function isHostAddress(prefix: Prefix, address: number): boolean {
  return isIn(prefix, address) && address !== prefix.network && address !== lastOf(prefix);
}

/**
 * The document with a subnet, if its type needs one and it has none.
 *
 * @param taken What the host and its networks have already.
 */
export function withSubnet(document: HostComputeNetwork, taken: readonly Prefix[]): HostComputeNetwork {
  const { Type: type = 'NAT', Ipams } = document;
  const hasSubnet = (Ipams ?? []).some(({ Subnets }) => (Subnets ?? []).length > 0);
  if (hasSubnet || !typesThatNeedSubnet.has(type)) return document;
  const free = unaskedFor.find((prefix) => !taken.some((other) => overlaps(prefix, other)));
  if (free === undefined)
    throw new Refusal('HCN_E_INVALID_SUBNET', 'no subnet of 172.30.0.0/16 is free, give the network one');
  const Routes = [{ NextHop: formatIpv4(free.network + 1), DestinationPrefix: '0.0.0.0/0' }];
  return {
    ...document,
    Ipams: [{ Type: 'Static', Subnets: [{ IpAddressPrefix: formatPrefix(free), Routes }] }],
  };
}

/** Throws HCN_E_INVALID_SUBNET when the host would not know which of two networks an address is in. */
export function assertFree(
  subnets: readonly NetworkSubnet[],
  taken: readonly { prefix: Prefix; by: string }[],
): void {
  for (const [index, { prefix }] of subnets.entries()) {
    const others = subnets.slice(0, index).map((other) => ({ prefix: other.prefix, by: 'the same network' }));
    const other = [...others, ...taken].find((one) => overlaps(one.prefix, prefix));
    if (other === undefined) continue;
    throw new Refusal(
      'HCN_E_INVALID_SUBNET',
      `subnet "${formatPrefix(prefix)}" overlaps "${formatPrefix(other.prefix)}" of ${other.by}`,
    );
  }
}
