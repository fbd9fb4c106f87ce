import { familyOf, formatAddress } from './addresses.ts';
import {
  attributesAfter,
  encodeAttributes,
  type NetlinkAttribute,
  NetlinkFlag,
  type NetlinkMessage,
  readU32,
  u32,
  viewOf,
} from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

// linux/rtnetlink.h
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const AF_INET = 2;
const structureSize = 12;

/** A route of the main table. */
export interface NetworkRoute {
  /** Index of the link that it leaves by. */
  index: number;
  /** All zeros with a prefix length of 0 is the default route. 4 bytes of IPv4, or 16 of IPv6. */
  destination: Uint8Array;
  prefixLength: number;
  /** Undefined for what is reached directly. */
  gateway?: Uint8Array;
  /** Of two routes to one destination the one with the lower number wins. @default 0 */
  metric?: number;
}

/** Adds a route. Fails with EEXIST for a second one to its destination with the same metric. */
export function addRoute(socket: NetlinkSocket, route: NetworkRoute): void {
  socket.request({
    type: RTM_NEWROUTE,
    flags: NetlinkFlag.create | NetlinkFlag.exclusive,
    name: 'RTM_NEWROUTE',
    action: `add a route ${describe(route)}`,
    payload: encodeRoute(route),
  });
}

/** Fails with ESRCH when there is none. */
export function deleteRoute(socket: NetlinkSocket, route: NetworkRoute): void {
  socket.request({
    type: RTM_DELROUTE,
    name: 'RTM_DELROUTE',
    action: `delete the route ${describe(route)}`,
    payload: encodeRoute(route),
  });
}

/** The IPv4 routes of the socket's namespace that packets of others take too: no local and broadcast ones. */
export function listRoutes(socket: NetlinkSocket): NetworkRoute[] {
  const structure = Buffer.alloc(structureSize);
  structure[0] = AF_INET;
  return socket
    .dump({ type: RTM_GETROUTE, name: 'RTM_GETROUTE', action: 'list routes', payload: structure })
    .filter(({ type, payload }) => type === RTM_NEWROUTE && isUnicastOfMain(payload))
    .map(decodeRoute);
}

function isUnicastOfMain(payload: Uint8Array): boolean {
  return payload[4] === RT_TABLE_MAIN && payload[7] === RTN_UNICAST;
}

export function decodeRoute({ payload }: Pick<NetlinkMessage, 'payload'>): NetworkRoute {
  const attributes = attributesAfter(payload, structureSize);
  const view = viewOf(payload);
  const gateway = attributes.get(RTA_GATEWAY);
  const metric = readU32(attributes.get(RTA_PRIORITY));
  return {
    index: readU32(attributes.get(RTA_OIF)) ?? 0,
    destination: attributes.get(RTA_DST) ?? new Uint8Array(view.getUint8(0) === AF_INET ? 4 : 16),
    prefixLength: view.getUint8(1),
    ...(gateway === undefined ? {} : { gateway }),
    ...(metric === undefined ? {} : { metric }),
  };
}

/** `struct rtmsg`: family, lengths of destination and source, TOS, table, protocol, scope, type, flags. */
export function encodeRoute({
  index,
  destination,
  prefixLength,
  gateway,
  metric = 0,
}: NetworkRoute): Uint8Array {
  const scope = gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const structure = Buffer.alloc(structureSize);
  structure.set([
    familyOf(destination),
    prefixLength,
    0,
    0,
    RT_TABLE_MAIN,
    RTPROT_STATIC,
    scope,
    RTN_UNICAST,
  ]);
  const attributes: NetlinkAttribute[] = [[RTA_OIF, u32(index)]];
  if (prefixLength > 0) attributes.push([RTA_DST, destination]);
  if (gateway !== undefined) attributes.push([RTA_GATEWAY, gateway]);
  if (metric > 0) attributes.push([RTA_PRIORITY, u32(metric)]);
  return Buffer.concat([structure, encodeAttributes(attributes)]);
}

function describe({ destination, prefixLength, gateway, index }: NetworkRoute): string {
  const by = gateway === undefined ? `by link ${index}` : `by ${formatAddress(gateway)}`;
  return `to ${formatAddress(destination)}/${prefixLength} ${by}`;
}
