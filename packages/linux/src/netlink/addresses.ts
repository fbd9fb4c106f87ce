import {
  attributesAfter,
  encodeAttributes,
  NetlinkFlag,
  type NetlinkMessage,
  viewOf,
} from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

// linux/rtnetlink.h, linux/if_addr.h
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const structureSize = 8;
const AF_INET = 2;
const AF_INET6 = 10;

/** An address of a link. */
export interface LinkAddress {
  /** Of the link. */
  index: number;
  /** 4 bytes of IPv4, or 16 of IPv6. */
  address: Uint8Array;
  prefixLength: number;
}

/** Gives a link an address, and with it the route to its subnet. Fails with EEXIST when it has it. */
export function addAddress(
  socket: NetlinkSocket,
  { index, address, prefixLength, broadcast }: LinkAddress & { broadcast?: Uint8Array },
): void {
  socket.request({
    type: RTM_NEWADDR,
    flags: NetlinkFlag.create | NetlinkFlag.exclusive,
    name: 'RTM_NEWADDR',
    action: `add address ${formatAddress(address)}/${prefixLength} to link ${index}`,
    payload: Buffer.concat([
      encodeStructure(familyOf(address), prefixLength, index),
      encodeAttributes([
        [IFA_LOCAL, address],
        [IFA_ADDRESS, address],
        ...(broadcast === undefined ? [] : ([[IFA_BROADCAST, broadcast]] as const)),
      ]),
    ]),
  });
}

/** All addresses of the socket's namespace. */
export function listAddresses(socket: NetlinkSocket): LinkAddress[] {
  return socket
    .dump({
      type: RTM_GETADDR,
      name: 'RTM_GETADDR',
      action: 'list addresses',
      payload: encodeStructure(0, 0, 0),
    })
    .filter(({ type }) => type === RTM_NEWADDR)
    .map(decodeAddress);
}

export function decodeAddress({ payload }: Pick<NetlinkMessage, 'payload'>): LinkAddress {
  const attributes = attributesAfter(payload, structureSize);
  const view = viewOf(payload);
  return {
    index: view.getUint32(4, true),
    // Of a point-to-point link the second is the other side's.
    address: attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? new Uint8Array(),
    prefixLength: view.getUint8(1),
  };
}

export function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** For messages. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  const hex = Buffer.from(address).toString('hex');
  return hex.match(/.{1,4}/g)?.join(':') ?? '';
}

/** `struct ifaddrmsg`: family, prefix length, flags, scope, index of the link. */
function encodeStructure(family: number, prefixLength: number, index: number): Uint8Array {
  return Buffer.concat([Uint8Array.of(family, prefixLength, 0, 0), indexBytes(index)]);
}

function indexBytes(index: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(index);
  return bytes;
}
