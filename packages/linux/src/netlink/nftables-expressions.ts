/**
 * The instructions of which nftables' rules are made. A condition that does not hold ends the rule. Values are
 * handed from one to the next in registers, of which two are used here: the first for what is looked at and the
 * address to translate to, the second for the port. Names and numbers: `linux/netfilter/nf_tables.h`.
 */
import { type NetlinkAttribute, text, u16be, u32, u32be } from './netlink-message.ts';

/** Its name and its data. */
export type NftExpression = readonly NetlinkAttribute[];

const firstRegister = 1;
const secondRegister = 2;
const verdictRegister = 0;

const metaKeys = { protocol: 1, iifname: 6, oifname: 7, l4proto: 16 } as const;
const comparisons = { '==': 0, '!=': 1 } as const;
const payloadBases = { network: 1, transport: 2 } as const;
const verdicts = { drop: 0, accept: 1 } as const;
export type NftComparison = keyof typeof comparisons;

const ipv4Offsets = { source: 12, destination: 16 } as const;
const portOffsets = { source: 0, destination: 2 } as const;
const IFNAMSIZ = 16;
const ETH_P_IP = 0x0800;
/** `RTN_LOCAL` of `linux/rtnetlink.h`. */
const localRoute = 2;
/** `NFT_CT_STATE`, `NFT_CT_STATUS`; bits of `linux/netfilter/nf_conntrack_common.h`. */
const ctState = 0;
const ctStatus = 2;
const establishedOrRelated = (1 << 1) | (1 << 2);
const destinationTranslated = 1 << 5;

/** The packet came by, or goes by, this link. */
export function linkIs(
  direction: 'in' | 'out',
  name: string,
  comparison: NftComparison = '==',
): NftExpression[] {
  const bytes = Buffer.alloc(IFNAMSIZ);
  bytes.write(name);
  return [meta(direction === 'in' ? 'iifname' : 'oifname'), compare(comparison, bytes)];
}

/** The frame carries IPv4. For tables of bridges, which see all. */
export function isIpv4(): NftExpression[] {
  return [meta('protocol'), compare('==', u16be(ETH_P_IP))];
}

/** The packet's address is in the prefix. */
export function addressIn(
  end: 'source' | 'destination',
  network: Uint8Array,
  mask: Uint8Array,
  comparison: NftComparison = '==',
): NftExpression[] {
  return [payload('network', ipv4Offsets[end], 4), bitwiseAnd(mask), compare(comparison, network)];
}

/** The packet is for an address of this host. */
export function isForThisHost(): NftExpression[] {
  const destination = 1 << 1;
  const addressType = 3;
  return [
    expression('fib', [
      [1, u32be(firstRegister)],
      [2, u32be(addressType)],
      [3, u32be(destination)],
    ]),
    compare('==', u32(localRoute)),
  ];
}

/** IANA's number: 6 is TCP, 17 is UDP. */
export function protocolIs(protocol: number): NftExpression[] {
  return [meta('l4proto'), compare('==', Uint8Array.of(protocol))];
}

export function portIs(end: 'source' | 'destination', port: number): NftExpression[] {
  return [payload('transport', portOffsets[end], 2), compare('==', u16be(port))];
}

/** The packet belongs to a connection that has had answers, or is about one. */
export function isEstablished(): NftExpression[] {
  return connectionHas(ctState, establishedOrRelated);
}

/** The packet's connection has got another destination than it was opened to. */
export function isDestinationTranslated(): NftExpression[] {
  return connectionHas(ctStatus, destinationTranslated);
}

/** One connection in `modulus`, by chance. */
export function oneIn(modulus: number): NftExpression[] {
  const random = 1;
  return [
    expression('numgen', [
      [1, u32be(firstRegister)],
      [2, u32be(modulus)],
      [3, u32be(random)],
      [4, u32be(0)],
    ]),
    compare('==', u32(0)),
  ];
}

/** The packets of one source address in `modulus`: always the same ones for the same `modulus`. */
export function sourceHashIs(remainder: number, modulus: number): NftExpression[] {
  const jenkins = 0;
  const addressLength = 4;
  return [
    payload('network', ipv4Offsets.source, addressLength),
    expression('hash', [
      [1, u32be(firstRegister)],
      [2, u32be(firstRegister)],
      [3, u32be(addressLength)],
      [4, u32be(modulus)],
      [5, u32be(0)],
      [7, u32be(jenkins)],
    ]),
    compare('==', u32(remainder)),
  ];
}

/** Sends the connection to another address and port. */
export function translateDestination(address: Uint8Array, port: number): NftExpression[] {
  const destination = 1;
  const ipv4 = 2;
  return [
    immediate(firstRegister, address),
    immediate(secondRegister, u16be(port)),
    expression('nat', [
      [1, u32be(destination)],
      [2, u32be(ipv4)],
      [3, u32be(firstRegister)],
      [5, u32be(secondRegister)],
    ]),
  ];
}

/** Lets the connection come from the address of the link that it leaves by. */
export function masquerade(): NftExpression[] {
  return [expression('masq', [])];
}

export function verdict(word: keyof typeof verdicts): NftExpression[] {
  const code: NetlinkAttribute[] = [[1, u32be(verdicts[word])]];
  return [
    expression('immediate', [
      [1, u32be(verdictRegister)],
      [2, [[2, code]]],
    ]),
  ];
}

function meta(key: keyof typeof metaKeys): NftExpression {
  return expression('meta', [
    [1, u32be(firstRegister)],
    [2, u32be(metaKeys[key])],
  ]);
}

function payload(base: keyof typeof payloadBases, offset: number, length: number): NftExpression {
  return expression('payload', [
    [1, u32be(firstRegister)],
    [2, u32be(payloadBases[base])],
    [3, u32be(offset)],
    [4, u32be(length)],
  ]);
}

function connectionHas(key: number, bits: number): NftExpression[] {
  return [
    expression('ct', [
      [1, u32be(firstRegister)],
      [2, u32be(key)],
    ]),
    bitwiseAnd(u32(bits)),
    compare('!=', u32(0)),
  ];
}

function bitwiseAnd(mask: Uint8Array): NftExpression {
  return expression('bitwise', [
    [1, u32be(firstRegister)],
    [2, u32be(firstRegister)],
    [3, u32be(mask.length)],
    [4, [[1, mask]]],
    [5, [[1, new Uint8Array(mask.length)]]],
  ]);
}

function compare(comparison: NftComparison, value: Uint8Array): NftExpression {
  return expression('cmp', [
    [1, u32be(firstRegister)],
    [2, u32be(comparisons[comparison])],
    [3, [[1, value]]],
  ]);
}

function immediate(register: number, value: Uint8Array): NftExpression {
  return expression('immediate', [
    [1, u32be(register)],
    [2, [[1, value]]],
  ]);
}

function expression(name: string, data: readonly NetlinkAttribute[]): NftExpression {
  return [
    [1, text(name)],
    [2, data],
  ];
}
