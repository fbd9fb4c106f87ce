import { isDeepStrictEqual } from 'node:util';
import type {
  AclPolicySetting,
  EndpointPolicy,
  HostComputeEndpoint,
  HostComputeNetwork,
  NetworkMode,
  NetworkPolicy,
  PortMappingPolicySetting,
} from '@hcsshim/schema/hcn';
import { readAcl } from './acl.ts';
import { readIpv4 } from './ipv4.ts';
import { notSupported, Refusal } from './refusal.ts';

/**
 * Which policies are carried out; all others are refused. A policy that was kept and not carried out would be a
 * promise that nobody keeps, and of some, such as ACLs, somebody's safety hangs on it.
 */
const networkPolicies: Partial<Record<NetworkPolicy['Type'], (policy: NetworkPolicy) => void>> = {
  AutomaticDNS: () => {},
  // A set is for others to refer to; what refers to one is refused by itself.
  SetPolicy: () => {},
  NetAdapterName: ({ Settings }) => {
    if ((Settings as { NetworkAdapterName?: string } | undefined)?.NetworkAdapterName) return;
    throw new Refusal('HCN_E_INVALID_POLICY', 'policy "NetAdapterName" names no adapter');
  },
};

/** Of IPv4 (RFC 791), in bytes. */
const smallestMtu = 68;

const endpointPolicies: Partial<Record<EndpointPolicy['Type'], (policy: EndpointPolicy) => void>> = {
  PortMapping: ({ Settings }) => void readPortMapping(Settings as PortMappingPolicySetting),
  ACL: ({ Settings }) => void readAcl(Settings as AclPolicySetting),
  InterfaceParameters: ({ Settings }) => {
    const { Mtu = 0 } = (Settings ?? {}) as { Mtu?: number };
    if (Mtu !== 0 && Mtu < smallestMtu)
      throw new Refusal(
        'HCN_E_INVALID_POLICY',
        `policy "InterfaceParameters" has an MTU below ${smallestMtu}`,
      );
  },
};

export function checkNetworkPolicies(policies: readonly NetworkPolicy[] | undefined): void {
  for (const policy of policies ?? []) check('network', networkPolicies[policy.Type], policy);
}

export function checkEndpointPolicies(
  networkType: NetworkMode,
  policies: readonly EndpointPolicy[] | undefined,
): void {
  for (const policy of policies ?? []) {
    check('endpoint', endpointPolicies[policy.Type], policy);
    if (policy.Type === 'PortMapping' && networkType !== 'NAT')
      throw new Refusal(
        'HCN_E_INVALID_POLICY_TYPE',
        `a network of type "${networkType}" maps no ports, only "NAT" does`,
      );
  }
}

function check<Policy extends { Type: string }>(
  noun: string,
  rule: ((policy: Policy) => void) | undefined,
  policy: Policy,
): void {
  if (rule === undefined)
    throw notSupported(`the ${noun} policy "${policy.Type}" is not carried out on Linux, leave it out`);
  rule(policy);
}

/** The adapter that a network's document names to be a port of its bridge. */
export function adapterOf({ Policies }: HostComputeNetwork): string | undefined {
  const names = (Policies ?? []).flatMap((policy) =>
    policy.Type === 'NetAdapterName' && policy.Settings?.NetworkAdapterName
      ? [policy.Settings.NetworkAdapterName]
      : [],
  );
  if (names.length > 1) throw new Refusal('HCN_E_INVALID_POLICY', 'it names more than one adapter');
  return names[0];
}

export function hasAutomaticDns({ Policies }: HostComputeNetwork): boolean {
  return (Policies ?? []).some(
    (policy) => policy.Type === 'AutomaticDNS' && policy.Settings?.Enable === true,
  );
}

/** In bytes; undefined where nothing is said. */
export function mtuOf({ Policies }: HostComputeEndpoint): number | undefined {
  for (const policy of Policies ?? [])
    if (policy.Type === 'InterfaceParameters' && policy.Settings?.Mtu) return policy.Settings.Mtu;
  return undefined;
}

/** A port of the host whose connections an endpoint gets. */
export interface PortMapping {
  /** IANA's number. */
  protocol: number;
  externalPort: number;
  internalPort: number;
  /** The one address of the host that it is for. @default all */
  address?: number;
}

export function portMappingsOf({ Policies }: HostComputeEndpoint): PortMapping[] {
  return (Policies ?? []).flatMap((policy) =>
    policy.Type === 'PortMapping' ? [readPortMapping(policy.Settings)] : [],
  );
}

const transports: ReadonlySet<number> = new Set([6, 17]);

function readPortMapping(settings: PortMappingPolicySetting = {}): PortMapping {
  const { Protocol = 0, InternalPort = 0, ExternalPort = 0, VIP, Flags = 0 } = settings;
  const invalid = (problem: string) => new Refusal('HCN_E_INVALID_POLICY', `policy "PortMapping" ${problem}`);
  if (!transports.has(Protocol)) throw invalid(`has protocol ${Protocol}, it must be 6 (TCP) or 17 (UDP)`);
  if (InternalPort === 0 || ExternalPort === 0)
    throw invalid('needs an "InternalPort" and an "ExternalPort"');
  if (Flags !== 0) throw notSupported(`policy "PortMapping" has flags ${Flags}, there is none on Linux`);
  return {
    protocol: Protocol,
    internalPort: InternalPort,
    externalPort: ExternalPort,
    ...(VIP ? { address: readIpv4('VIP', VIP) } : {}),
  };
}

/** Throws HCN_E_PORT_ALREADY_EXISTS for a port of the host that is mapped twice. */
export function assertPortsFree(endpoint: HostComputeEndpoint, others: readonly HostComputeEndpoint[]): void {
  const taken = others.flatMap((other) =>
    portMappingsOf(other).map((mapping) => ({ mapping, owner: other.ID ?? '' })),
  );
  for (const mapping of portMappingsOf(endpoint)) {
    const conflict = taken.find((one) => isSamePort(one.mapping, mapping));
    if (conflict !== undefined)
      throw new Refusal(
        'HCN_E_PORT_ALREADY_EXISTS',
        `port ${mapping.externalPort} of the host is mapped to endpoint "${conflict.owner}"`,
      );
    taken.push({ mapping, owner: endpoint.ID ?? '' });
  }
}

function isSamePort(one: PortMapping, other: PortMapping): boolean {
  const isSameAddress =
    one.address === undefined || other.address === undefined || one.address === other.address;
  return isSameAddress && one.protocol === other.protocol && one.externalPort === other.externalPort;
}

export type PolicyChange = 'Add' | 'Remove' | 'Update';

/** Policies after a request: added, removed by being equal, or all replaced. */
export function changePolicies<Policy>(
  kept: readonly Policy[],
  given: readonly Policy[],
  change: PolicyChange,
): Policy[] {
  const isThere = (policy: Policy): boolean => kept.some((one) => isDeepStrictEqual(one, policy));
  if (change === 'Update') return [...given];
  if (change === 'Add') {
    if (given.some(isThere)) throw new Refusal('HCN_E_POLICY_ALREADY_EXISTS', 'it has this policy already');
    return [...kept, ...given];
  }
  if (!given.every(isThere)) throw new Refusal('HCN_E_POLICY_NOT_FOUND', 'it has no such policy');
  return kept.filter((one) => !given.some((policy) => isDeepStrictEqual(one, policy)));
}
