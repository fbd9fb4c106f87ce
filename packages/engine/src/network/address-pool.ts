import type { IpConfig } from '@hcsshim/schema/hcn';
import { formatIpv4, formatPrefix, isIn, lastOf, readIpv4 } from './ipv4.ts';
import { notSupported, Refusal } from './refusal.ts';
import { isHostAddress, type NetworkSubnet } from './subnets.ts';

/** Addresses of a network that endpoints have, each with its endpoint's id. */
export type TakenAddresses = ReadonlyMap<number, string>;

/**
 * The addresses of a new endpoint: those asked for, each looked at, or one of the first subnet that has a free one.
 * The lowest free address is given, so that a network of few endpoints stays easy to read.
 */
export function chooseAddresses(
  subnets: readonly NetworkSubnet[],
  asked: readonly IpConfig[] | undefined,
  taken: TakenAddresses,
): IpConfig[] {
  const chosen = new Map(taken);
  const wanted = asked === undefined || asked.length === 0 ? (subnets.length > 0 ? [{}] : []) : asked;
  return wanted.map((config) => {
    const { address, subnet } = chooseOne(subnets, config, chosen);
    chosen.set(address, 'this endpoint');
    return { IpAddress: formatIpv4(address), PrefixLength: subnet.prefix.length };
  });
}

function chooseOne(
  subnets: readonly NetworkSubnet[],
  { IpAddress, PrefixLength, IpSubnetId }: IpConfig,
  taken: TakenAddresses,
): { address: number; subnet: NetworkSubnet } {
  if (IpSubnetId !== undefined) throw notSupported('"IpSubnetId" names a part of a subnet, give an address');
  if (!IpAddress) return firstFree(subnets, taken);
  const address = readIpv4('IpAddress', IpAddress);
  const subnet = subnets.find(({ prefix }) => isIn(prefix, address));
  if (subnet === undefined) {
    const all = subnets.map(({ prefix }) => `"${formatPrefix(prefix)}"`).join(', ');
    throw new Refusal(
      'HCN_E_INVALID_IP',
      `address ${IpAddress} is in no subnet of the network, which has ${all || 'none'}`,
    );
  }
  if (PrefixLength !== undefined && PrefixLength !== 0 && PrefixLength !== subnet.prefix.length)
    throw new Refusal(
      'HCN_E_INVALID_PREFIX',
      `address ${IpAddress} has a prefix of ${PrefixLength} bits, its subnet has ${subnet.prefix.length}`,
    );
  const reserved = reservation(subnet, address);
  const owner = taken.get(address);
  const reason = reserved ?? (owner === undefined ? undefined : `has endpoint "${owner}"`);
  if (reason !== undefined)
    throw new Refusal('HCN_E_ADDR_INVALID_OR_RESERVED', `address ${IpAddress} ${reason}`);
  return { address, subnet };
}

function firstFree(
  subnets: readonly NetworkSubnet[],
  taken: TakenAddresses,
): { address: number; subnet: NetworkSubnet } {
  for (const subnet of subnets) {
    for (let address = subnet.prefix.network + 1; address < lastOf(subnet.prefix); address++) {
      if (!taken.has(address) && reservation(subnet, address) === undefined) return { address, subnet };
    }
  }
  throw new Refusal(
    'ERROR_NO_MORE_ITEMS',
    subnets.length === 0
      ? 'the network has no subnet to give an address from'
      : `all addresses of ${subnets.map(({ prefix }) => `"${formatPrefix(prefix)}"`).join(', ')} are taken`,
  );
}

/** Why no endpoint gets an address. */
function reservation(subnet: NetworkSubnet, address: number): string | undefined {
  if (!isHostAddress(subnet.prefix, address)) return "is the subnet's own or its broadcast address";
  return address === subnet.gateway && !subnet.givesGatewayAway ? 'is the default gateway' : undefined;
}
