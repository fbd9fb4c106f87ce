import {
  attributesAfter,
  decodeAttributeList,
  decodeAttributes,
  encodeAttributes,
  type NetlinkAttribute,
  NetlinkFlag,
  type NetlinkMessage,
  readText,
  text,
  u16be,
  u32be,
} from './netlink-message.ts';
import type { NetlinkRequest, NetlinkSocket } from './netlink-socket.ts';
import type { NftExpression } from './nftables-expressions.ts';

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const subsystem = 10;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_GETRULE = 7;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const structureSize = 4;

/** `NFPROTO_*` of `linux/netfilter.h`. */
const NftFamily = { ipv4: 2, bridge: 7 } as const;
export type NftFamilyName = keyof typeof NftFamily;

/** `NF_INET_*`, whose numbers the hooks of bridges have too. */
const hookNumbers = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** A chain that sees packets at a hook of the kernel. */
export interface NftChain {
  /** Tells it from the table's others. */
  name: string;
  type: 'nat' | 'filter';
  hook: keyof typeof hookNumbers;
  /** Chains of a hook run in the order of these, across all tables. */
  priority: number;
  /** Each is a list of conditions and what then happens. A packet that meets none passes. */
  rules: readonly (readonly NftExpression[])[];
}

export interface NftTable {
  family: NftFamilyName;
  name: string;
  chains: readonly NftChain[];
}

/**
 * Puts tables in the place of those that have their names, in one transaction: packets see the old ones or the new
 * ones. A table without chains is removed; one that is not there costs no transaction, for which the kernel lets
 * everybody wait who is reading.
 */
export function replaceNftTables(socket: NetlinkSocket, tables: readonly NftTable[]): void {
  const changes = tables.filter(
    ({ family, name, chains }) => chains.length > 0 || listNftTables(socket, family).includes(name),
  );
  if (changes.length > 0) socket.transact(batch(changes.flatMap(replacement)));
}

/** The names of the tables of a family. */
export function listNftTables(socket: NetlinkSocket, family: NftFamilyName): string[] {
  return socket
    .dump(request(NFT_MSG_GETTABLE, family, [], 'list tables of nftables'))
    .filter(({ type }) => type === ((subsystem << 8) | NFT_MSG_NEWTABLE))
    .map(({ payload }) => readText(attributesAfter(payload, structureSize).get(NFTA_TABLE_NAME)) ?? '');
}

/** A rule as the kernel shows it, by the names of its expressions: `payload`, `cmp`, `masq`. */
export interface NftRule {
  table: string;
  chain: string;
  expressions: string[];
}

/** The rules of all tables of a family. */
export function listNftRules(socket: NetlinkSocket, family: NftFamilyName): NftRule[] {
  return socket
    .dump(request(NFT_MSG_GETRULE, family, [], 'list rules of nftables'))
    .filter(({ type }) => type === ((subsystem << 8) | NFT_MSG_NEWRULE))
    .map(decodeNftRule);
}

export function decodeNftRule({ payload }: Pick<NetlinkMessage, 'payload'>): NftRule {
  const attributes = attributesAfter(payload, structureSize);
  const list = attributes.get(NFTA_RULE_EXPRESSIONS) ?? new Uint8Array();
  return {
    table: readText(attributes.get(NFTA_RULE_TABLE)) ?? '',
    chain: readText(attributes.get(NFTA_RULE_CHAIN)) ?? '',
    expressions: decodeAttributeList(list).map(
      ([, element]) => readText(decodeAttributes(element).get(NFTA_EXPR_NAME)) ?? '',
    ),
  };
}

/** Made first, since what is not there cannot be deleted. */
function replacement({ family, name, chains }: NftTable): NetlinkRequest[] {
  const table = (type: number, flags: number): NetlinkRequest =>
    request(type, family, [[NFTA_TABLE_NAME, text(name)]], `replace table "${name}" of nftables`, flags);
  const removal = [table(NFT_MSG_NEWTABLE, NetlinkFlag.create), table(NFT_MSG_DELTABLE, 0)];
  if (chains.length === 0) return removal;
  return [
    ...removal,
    table(NFT_MSG_NEWTABLE, NetlinkFlag.create),
    ...chains.flatMap((chain) => [
      chainRequest(family, name, chain),
      ...chain.rules.map((rule) => ruleRequest(family, name, chain.name, rule)),
    ]),
  ];
}

function chainRequest(family: NftFamilyName, table: string, chain: NftChain): NetlinkRequest {
  const { name, type, hook, priority } = chain;
  return request(
    NFT_MSG_NEWCHAIN,
    family,
    [
      [NFTA_CHAIN_TABLE, text(table)],
      [NFTA_CHAIN_NAME, text(name)],
      [
        NFTA_CHAIN_HOOK,
        [
          [NFTA_HOOK_HOOKNUM, u32be(hookNumbers[hook])],
          [NFTA_HOOK_PRIORITY, u32be(priority)],
        ],
      ],
      [NFTA_CHAIN_TYPE, text(type)],
    ],
    `create chain "${name}" of table "${table}" of nftables`,
    NetlinkFlag.create,
  );
}

function ruleRequest(
  family: NftFamilyName,
  table: string,
  chain: string,
  rule: readonly NftExpression[],
): NetlinkRequest {
  return request(
    NFT_MSG_NEWRULE,
    family,
    [[NFTA_RULE_TABLE, text(table)], [NFTA_RULE_CHAIN, text(chain)], encodeRuleExpressions(rule)],
    `add a rule to chain "${chain}" of table "${table}" of nftables`,
    NetlinkFlag.create | NetlinkFlag.append,
  );
}

export function encodeRuleExpressions(rule: readonly NftExpression[]): NetlinkAttribute {
  return [NFTA_RULE_EXPRESSIONS, rule.map((expression) => [NFTA_LIST_ELEM, expression] as const)];
}

const requestNames: Readonly<Record<number, string>> = {
  [NFT_MSG_NEWTABLE]: 'NFT_MSG_NEWTABLE',
  [NFT_MSG_GETTABLE]: 'NFT_MSG_GETTABLE',
  [NFT_MSG_DELTABLE]: 'NFT_MSG_DELTABLE',
  [NFT_MSG_NEWCHAIN]: 'NFT_MSG_NEWCHAIN',
  [NFT_MSG_NEWRULE]: 'NFT_MSG_NEWRULE',
  [NFT_MSG_GETRULE]: 'NFT_MSG_GETRULE',
};

function request(
  type: number,
  family: NftFamilyName,
  attributes: readonly NetlinkAttribute[],
  action: string,
  flags = 0,
): NetlinkRequest {
  return {
    type: (subsystem << 8) | type,
    flags,
    action,
    name: requestNames[type] ?? `message ${type}`,
    payload: Buffer.concat([structure(NftFamily[family], 0), encodeAttributes(attributes)]),
  };
}

/**
 * What is between the frame's two messages happens as a whole or not at all. A refusal is told of each, the rest by
 * the last alone: an answer to each of thousands has no room in a socket.
 */
function batch(requests: readonly NetlinkRequest[]): (NetlinkRequest & { acknowledge?: boolean })[] {
  const frame = (type: number, name: string) => ({
    type,
    name,
    action: 'change tables of nftables',
    payload: structure(0, subsystem),
    acknowledge: false,
  });
  return [
    frame(NFNL_MSG_BATCH_BEGIN, 'NFNL_MSG_BATCH_BEGIN'),
    ...requests.map((one, index) => ({ ...one, acknowledge: index === requests.length - 1 })),
    frame(NFNL_MSG_BATCH_END, 'NFNL_MSG_BATCH_END'),
  ];
}

/** `struct nfgenmsg`: family, version, resource. */
function structure(family: number, resource: number): Uint8Array {
  return Buffer.concat([Uint8Array.of(family, 0), u16be(resource)]);
}
