import { constants } from 'node:os';
import { SystemCallError } from '../system-call-error.ts';
import {
  attributesAfter,
  decodeAttributes,
  encodeAttributes,
  type NetlinkAttribute,
  NetlinkFlag,
  type NetlinkMessage,
  readText,
  readU32,
  text,
  u32,
  viewOf,
} from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

// linux/rtnetlink.h, linux/if_link.h, linux/if.h, linux/veth.h
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;

const infoSize = 16;
/** IFNAMSIZ without the NUL. */
export const longestLinkName = 15;

/** A network interface. */
export interface Link {
  index: number;
  name: string;
  isUp: boolean;
  isLoopback: boolean;
  /** `bridge`, `veth`; undefined for what is no software device. */
  kind?: string;
  /** Index of the bridge or bond that it is a port of. */
  master?: number;
  /** Longest packet, in bytes. */
  mtu: number;
  /** MAC address, where it has one. */
  address?: Uint8Array;
  /** The text that an administrator, or program, has put on it. */
  alias?: string;
}

export interface BridgeOptions {
  name: string;
  address: Uint8Array;
}

/** Makes a bridge, up. Fails with EEXIST when the name is taken. */
export function createBridge(socket: NetlinkSocket, { name, address }: BridgeOptions): void {
  socket.request({
    type: RTM_NEWLINK,
    flags: NetlinkFlag.create | NetlinkFlag.exclusive,
    name: 'RTM_NEWLINK',
    action: `create bridge "${name}"`,
    payload: encodeLink({ up: true }, [
      [IFLA_IFNAME, text(name)],
      [IFLA_ADDRESS, address],
      [IFLA_LINKINFO, [[IFLA_INFO_KIND, text('bridge')]]],
    ]),
  });
}

export interface VethOptions {
  /** The end that stays in the socket's namespace, up. */
  name: string;
  /** Index of the bridge that it becomes a port of. */
  master: number;
  /** In bytes. @default 1500 */
  mtu?: number | undefined;
  /** The other end, which the kernel does not let be up before it is joined to the first. */
  peer: {
    name: string;
    address: Uint8Array;
    /** Descriptor of the network namespace that it goes to. */
    namespaceFd: number;
  };
}

/** Makes a pair of ends such that what goes in on one comes out on the other. With one end goes the other. */
export function createVeth(socket: NetlinkSocket, options: VethOptions): void {
  const { name, master, peer } = options;
  const mtu: NetlinkAttribute[] = options.mtu === undefined ? [] : [[IFLA_MTU, u32(options.mtu)]];
  const peerLink = encodeLink({}, [
    [IFLA_IFNAME, text(peer.name)],
    [IFLA_ADDRESS, peer.address],
    [IFLA_NET_NS_FD, u32(peer.namespaceFd)],
    ...mtu,
  ]);
  socket.request({
    type: RTM_NEWLINK,
    flags: NetlinkFlag.create | NetlinkFlag.exclusive,
    name: 'RTM_NEWLINK',
    action: `create the link "${name}" to "${peer.name}"`,
    payload: encodeLink({ up: true }, [
      [IFLA_IFNAME, text(name)],
      [IFLA_MASTER, u32(master)],
      ...mtu,
      [
        IFLA_LINKINFO,
        [
          [IFLA_INFO_KIND, text('veth')],
          [IFLA_INFO_DATA, [[VETH_INFO_PEER, peerLink]]],
        ],
      ],
    ]),
  });
}

export interface LinkChange {
  up?: boolean;
  /** Index of a bridge, or 0 to be no port of one any more. */
  master?: number;
  /** At most 255 bytes. */
  alias?: string;
  /** Of a port of a bridge: whether a packet may go back to where it came from. */
  hairpin?: boolean;
}

export function changeLink(socket: NetlinkSocket, name: string, change: LinkChange): void {
  const attributes: NetlinkAttribute[] = [[IFLA_IFNAME, text(name)]];
  if (change.master !== undefined) attributes.push([IFLA_MASTER, u32(change.master)]);
  if (change.alias !== undefined) attributes.push([IFLA_IFALIAS, text(change.alias)]);
  if (change.hairpin !== undefined) {
    const mode: NetlinkAttribute = [IFLA_BRPORT_MODE, Uint8Array.of(change.hairpin ? 1 : 0)];
    attributes.push([
      IFLA_LINKINFO,
      [
        [IFLA_INFO_SLAVE_KIND, text('bridge')],
        [IFLA_INFO_SLAVE_DATA, [mode]],
      ],
    ]);
  }
  socket.request({
    type: RTM_NEWLINK,
    name: 'RTM_NEWLINK',
    action: `change link "${name}"`,
    payload: encodeLink(change.up === undefined ? {} : { up: change.up }, attributes),
  });
}

/** Fails with ENODEV when there is none. */
export function deleteLink(socket: NetlinkSocket, name: string): void {
  socket.request({
    type: RTM_DELLINK,
    name: 'RTM_DELLINK',
    action: `delete link "${name}"`,
    payload: encodeLink({}, [[IFLA_IFNAME, text(name)]]),
  });
}

/** As `deleteLink`, but one that is not there is no error. */
export function deleteLinkIfThere(socket: NetlinkSocket, name: string): void {
  try {
    deleteLink(socket, name);
  } catch (error) {
    if (!(error instanceof SystemCallError && error.errno === constants.errno.ENODEV)) throw error;
  }
}

/** The links of the socket's namespace. */
export function listLinks(socket: NetlinkSocket): Link[] {
  return socket
    .dump({ type: RTM_GETLINK, name: 'RTM_GETLINK', action: 'list links', payload: encodeLink({}, []) })
    .filter(({ type }) => type === RTM_NEWLINK)
    .map(decodeLink);
}

export function findLink(socket: NetlinkSocket, name: string): Link | undefined {
  return listLinks(socket).find((link) => link.name === name);
}

export function decodeLink({ payload }: Pick<NetlinkMessage, 'payload'>): Link {
  const attributes = attributesAfter(payload, infoSize);
  const view = viewOf(payload);
  const flags = view.getUint32(8, true);
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info && readText(decodeAttributes(info).get(IFLA_INFO_KIND));
  const master = readU32(attributes.get(IFLA_MASTER));
  const address = attributes.get(IFLA_ADDRESS);
  const alias = readText(attributes.get(IFLA_IFALIAS));
  return {
    index: view.getInt32(4, true),
    name: readText(attributes.get(IFLA_IFNAME)) ?? '',
    isUp: (flags & IFF_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    mtu: readU32(attributes.get(IFLA_MTU)) ?? 0,
    ...(kind === undefined ? {} : { kind }),
    ...(master === undefined ? {} : { master }),
    ...(address === undefined ? {} : { address }),
    ...(alias === undefined ? {} : { alias }),
  };
}

/** `struct ifinfomsg`: family, padding, type, index, flags, and which of them count. */
export function encodeLink({ up }: { up?: boolean }, attributes: readonly NetlinkAttribute[]): Uint8Array {
  const info = Buffer.alloc(infoSize);
  if (up !== undefined) {
    info.writeUInt32LE(up ? IFF_UP : 0, 8);
    info.writeUInt32LE(IFF_UP, 12);
  }
  return Buffer.concat([info, encodeAttributes(attributes)]);
}
