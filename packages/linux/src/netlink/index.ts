/** Links, addresses, routes, packet filters and network namespaces: the door `@hcsshim/linux/netlink`. */
export {
  createNetworkNamespace,
  inNetworkNamespace,
  isNamespaceMount,
  networkNamespaceInode,
  openNetworkNamespace,
  removeNetworkNamespace,
  unshareNetworkNamespace,
} from '../network-namespace.ts';
export { addAddress, type LinkAddress, listAddresses } from './addresses.ts';
export {
  type BridgeOptions,
  changeLink,
  createBridge,
  createVeth,
  deleteLink,
  deleteLinkIfThere,
  findLink,
  type Link,
  type LinkChange,
  listLinks,
  longestLinkName,
  type VethOptions,
} from './links.ts';
export { NetlinkFormatError } from './netlink-message.ts';
export { NetlinkSocket } from './netlink-socket.ts';
export {
  listNftRules,
  listNftTables,
  type NftChain,
  type NftFamilyName,
  type NftRule,
  type NftTable,
  replaceNftTables,
} from './nftables.ts';
export {
  addressIn,
  isDestinationTranslated,
  isEstablished,
  isForThisHost,
  isIpv4,
  linkIs,
  masquerade,
  type NftExpression,
  oneIn,
  portIs,
  protocolIs,
  sourceHashIs,
  translateDestination,
  verdict,
} from './nftables-expressions.ts';
export { addRoute, deleteRoute, listRoutes, type NetworkRoute } from './routes.ts';
