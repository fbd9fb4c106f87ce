import type { MacPool } from '@hcsshim/schema/hcn';
import { Refusal } from './refusal.ts';

const pattern = /^[0-9a-f]{2}(?:[-:][0-9a-f]{2}){5}$/i;
const bytes = 6;
/** In the first byte: for groups, and given by an administrator and not a maker. */
const groupBit = 1;

/**
 * The addresses of a network whose document names none: locally administered ones with digits of the network's id,
 * so that those of two networks, or hosts, on one wire differ.
 */
export function defaultMacPool(networkId: string): MacPool {
  const start = `02-15-${networkId.slice(0, 2)}-${networkId.slice(2, 4)}`.toUpperCase();
  return { Ranges: [{ StartMacAddress: `${start}-00-01`, EndMacAddress: `${start}-FF-FE` }] };
}

/** Of a network's bridge: set, for a bridge otherwise changes its address with the ports that come and go. */
export function bridgeMac(networkId: string): Uint8Array {
  return Buffer.from(`0215${networkId.slice(0, 4)}ffff`, 'hex');
}

/**
 * The address asked for; else the one of the pool that ends as the IP address does, so that neighbours who remember
 * the one for the other are right also when both have a new owner; else the first of the pool that is free.
 *
 * @param ipv4 The endpoint's address, where it has one.
 * @returns as `02-15-…`.
 */
export function chooseMac(
  pool: MacPool | undefined,
  asked: string | undefined,
  ipv4: number | undefined,
  taken: ReadonlyMap<string, string>,
): string {
  if (asked) {
    const address = formatMac(readMac('MacAddress', asked));
    const owner = taken.get(address);
    if (owner === undefined) return address;
    throw new Refusal('ERROR_ALREADY_EXISTS', `MAC address ${address} has endpoint "${owner}"`);
  }
  for (const { StartMacAddress = '', EndMacAddress = '' } of pool?.Ranges ?? []) {
    const start = readMac('StartMacAddress', StartMacAddress);
    const end = readMac('EndMacAddress', EndMacAddress);
    const alike = ipv4 === undefined ? start : start - (start % 2 ** 16) + (ipv4 % 2 ** 16);
    if (alike >= start && alike <= end && !taken.has(formatMac(alike))) return formatMac(alike);
    for (let number = start; number <= end; number++) {
      const address = formatMac(number);
      if (!taken.has(address)) return address;
    }
  }
  throw new Refusal('ERROR_NO_MORE_ITEMS', "all MAC addresses of the network's pool are taken");
}

/** Throws for a pool with what is no address. */
export function checkMacPool(pool: MacPool | undefined): void {
  for (const { StartMacAddress = '', EndMacAddress = '' } of pool?.Ranges ?? []) {
    const start = readMac('StartMacAddress', StartMacAddress);
    if (start <= readMac('EndMacAddress', EndMacAddress)) continue;
    throw new Refusal(
      'E_INVALIDARG',
      `the MAC range from ${StartMacAddress} ends before, at ${EndMacAddress}`,
    );
  }
}

export function macBytes(address: string): Uint8Array {
  return Buffer.from(address.replaceAll(/[-:]/g, ''), 'hex');
}

function readMac(field: string, text: string): number {
  if (!pattern.test(text))
    throw new Refusal(
      'E_INVALIDARG',
      `"${field}" is "${text}", which is no MAC address such as 02-15-5D-00-00-01`,
    );
  const address = Buffer.from(macBytes(text));
  if ((address[0] ?? 0) & groupBit)
    throw new Refusal('E_INVALIDARG', `"${field}" is "${text}", which is the address of a group`);
  return address.readUIntBE(0, bytes);
}

function formatMac(number: number): string {
  const text = number
    .toString(16)
    .padStart(2 * bytes, '0')
    .toUpperCase();
  return text.match(/../g)?.join('-') ?? '';
}
