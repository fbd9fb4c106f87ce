import { Refusal } from './refusal.ts';

/** Addresses are numbers below 2 ** 32, so that they can be counted. */
export interface Prefix {
  /** With all bits after the prefix 0. */
  network: number;
  length: number;
}

const bits = 32;

/** `10.0.0.1` as a number; undefined for what is no IPv4 address. */
export function parseIpv4(text: string): number | undefined {
  if (!/^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/.test(text)) return undefined;
  const parts = text.split('.').map(Number);
  if (parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export function formatIpv4(address: number): string {
  return [...ipv4Bytes(address)].join('.');
}

/** In network order. */
export function ipv4Bytes(address: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes;
}

/** `10.0.0.0/24`; undefined for what is none, or has bits after its prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, address = '', digits = ''] = /^([\d.]+)\/(0|[1-9]\d?)$/.exec(text) ?? [];
  const network = parseIpv4(address);
  const length = Number(digits);
  if (network === undefined || digits === '' || length > bits) return undefined;
  return networkOf(network, length) === network ? { network, length } : undefined;
}

export function formatPrefix({ network, length }: Prefix): string {
  return `${formatIpv4(network)}/${length}`;
}

export function maskOf(length: number): number {
  return 2 ** bits - 2 ** (bits - length);
}

export function networkOf(address: number, length: number): number {
  const size = 2 ** (bits - length);
  return Math.floor(address / size) * size;
}

/** The last address of a prefix, which is its broadcast address. */
export function lastOf({ network, length }: Prefix): number {
  return network + 2 ** (bits - length) - 1;
}

export function isIn(prefix: Prefix, address: number): boolean {
  return networkOf(address, prefix.length) === prefix.network;
}

export function overlaps(one: Prefix, other: Prefix): boolean {
  return isIn(one, other.network) || isIn(other, one.network);
}

/** The address in a document's field. Throws HCN_E_INVALID_IP, and ERROR_NOT_SUPPORTED for IPv6. */
export function readIpv4(field: string, text: string): number {
  const address = parseIpv4(text);
  if (address !== undefined) return address;
  throw invalid('HCN_E_INVALID_IP', field, text, 'an IPv4 address');
}

/** The prefix in a document's field. Throws HCN_E_INVALID_PREFIX, and ERROR_NOT_SUPPORTED for IPv6. */
export function readPrefix(field: string, text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  throw invalid('HCN_E_INVALID_PREFIX', field, text, 'an IPv4 network such as "10.0.0.0/24"');
}

function invalid(
  code: 'HCN_E_INVALID_IP' | 'HCN_E_INVALID_PREFIX',
  field: string,
  text: string,
  wanted: string,
): Refusal {
  return text.includes(':')
    ? new Refusal('ERROR_NOT_SUPPORTED', `"${field}" is "${text}", and networks on Linux have IPv4 only`)
    : new Refusal(code, `"${field}" is "${text}", which is not ${wanted}`);
}
