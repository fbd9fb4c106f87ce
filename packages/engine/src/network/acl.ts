import {
  addressIn,
  isEstablished,
  linkIs,
  type NftExpression,
  type NftTable,
  portIs,
  protocolIs,
  verdict,
} from '@hcsshim/linux/netlink';
import type { AclPolicySetting, HostComputeEndpoint } from '@hcsshim/schema/hcn';
import { ipv4Bytes, maskOf, type Prefix, parseIpv4, parsePrefix } from './ipv4.ts';
import { aclTableName } from './link-names.ts';
import { notSupported, Refusal } from './refusal.ts';

/** A rule of an endpoint's access control list. */
export interface AclRule {
  direction: 'In' | 'Out';
  action: 'accept' | 'drop';
  /** Lower ones come first. */
  priority: number;
  /** IANA's numbers. Empty for all; so are the others. */
  protocols: number[];
  localAddresses: Prefix[];
  remoteAddresses: Prefix[];
  localPorts: number[];
  remotePorts: number[];
}

/** As far as one rule of a document may multiply in the kernel. */
const mostRules = 1024;
const lastPriority = 65_535;
const transports: ReadonlySet<number> = new Set([6, 17]);

export function readAcl(settings: AclPolicySetting = {}): AclRule {
  const { Action, Direction, RuleType, Priority = lastPriority } = settings;
  const invalid = (problem: string) => new Refusal('HCN_E_INVALID_POLICY', `policy "ACL" ${problem}`);
  if (Action === undefined || Direction === undefined) throw invalid('needs an "Action" and a "Direction"');
  if (Action === 'Pass') throw notSupported('policy "ACL" has the action "Pass", which only tiers have');
  if (RuleType === 'Host')
    throw notSupported('policy "ACL" is a rule of the host, leave "RuleType" out or make it "Switch"');
  const rule: AclRule = {
    direction: Direction,
    action: Action === 'Allow' ? 'accept' : 'drop',
    priority: Priority,
    protocols: listOf(settings.Protocols).map((text) => readNumber('Protocols', text, 255)),
    localAddresses: listOf(settings.LocalAddresses).map((text) => readAddresses('LocalAddresses', text)),
    remoteAddresses: listOf(settings.RemoteAddresses).map((text) => readAddresses('RemoteAddresses', text)),
    localPorts: listOf(settings.LocalPorts).map((text) => readNumber('LocalPorts', text, 65_535)),
    remotePorts: listOf(settings.RemotePorts).map((text) => readNumber('RemotePorts', text, 65_535)),
  };
  const hasPorts = rule.localPorts.length + rule.remotePorts.length > 0;
  if (hasPorts && (rule.protocols.length === 0 || !rule.protocols.every((one) => transports.has(one))))
    throw invalid('has ports, so its "Protocols" must be 6 (TCP), 17 (UDP) or both');
  if (alternatives(rule).length > mostRules) throw invalid(`has more than ${mostRules} combinations`);
  return rule;
}

/**
 * The packet filter of a namespace's interface by its endpoint's ACLs. What belongs to a connection that was let
 * through passes both ways, as on Windows. A table without chains stands for no ACLs.
 */
export function aclTable(
  endpoints: readonly { document: HostComputeEndpoint; interfaceName: string }[],
): NftTable {
  const rules = endpoints.flatMap(({ document, interfaceName }) =>
    (document.Policies ?? [])
      .flatMap((policy) => (policy.Type === 'ACL' ? [readAcl(policy.Settings)] : []))
      // Stable: rules of one priority stay in their order.
      .sort((one, other) => one.priority - other.priority)
      .map((rule) => ({ rule, interfaceName })),
  );
  const chain = (direction: 'In' | 'Out') => ({
    name: direction === 'In' ? 'input' : 'output',
    type: 'filter' as const,
    hook: direction === 'In' ? ('input' as const) : ('output' as const),
    priority: 0,
    rules: [
      [...isEstablished(), ...verdict('accept')],
      ...rules
        .filter(({ rule }) => rule.direction === direction)
        .flatMap(({ rule, interfaceName }) =>
          alternatives(rule).map((conditions) => [
            ...linkIs(direction === 'In' ? 'in' : 'out', interfaceName),
            ...conditions,
            ...verdict(rule.action),
          ]),
        ),
    ],
  });
  const chains = rules.length === 0 ? [] : [chain('In'), chain('Out')];
  return { family: 'ipv4', name: aclTableName, chains };
}

/** Each way in which a packet can meet a rule. */
function alternatives(rule: AclRule): NftExpression[][] {
  const [localEnd, remoteEnd] =
    rule.direction === 'In' ? (['destination', 'source'] as const) : (['source', 'destination'] as const);
  const within = (end: 'source' | 'destination', prefixes: Prefix[]) =>
    prefixes.map(({ network, length }) => addressIn(end, ipv4Bytes(network), ipv4Bytes(maskOf(length))));
  const choices = [
    rule.protocols.map(protocolIs),
    within(localEnd, rule.localAddresses),
    within(remoteEnd, rule.remoteAddresses),
    rule.localPorts.map((port) => portIs(localEnd, port)),
    rule.remotePorts.map((port) => portIs(remoteEnd, port)),
  ].filter((choice) => choice.length > 0);
  let result: NftExpression[][] = [[]];
  for (const choice of choices) {
    if (result.length * choice.length > mostRules) return new Array(mostRules + 1).fill([]);
    result = result.flatMap((conditions) => choice.map((condition) => [...conditions, ...condition]));
  }
  return result;
}

function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
}

function readNumber(field: string, text: string, largest: number): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= largest) return number;
  if (/^\d+-\d+$/.test(text)) throw notSupported(`policy "ACL" has a range in "${field}", list the numbers`);
  throw new Refusal(
    'HCN_E_INVALID_POLICY',
    `policy "ACL" has "${text}" in "${field}", which is no number of one`,
  );
}

function readAddresses(field: string, text: string): Prefix {
  const address = parseIpv4(text);
  const prefix = address === undefined ? parsePrefix(text) : { network: address, length: 32 };
  if (prefix !== undefined) return prefix;
  throw new Refusal(
    'HCN_E_INVALID_POLICY',
    `policy "ACL" has "${text}" in "${field}", it must be an IPv4 address or network`,
  );
}
