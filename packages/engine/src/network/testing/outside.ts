import { closeSync } from 'node:fs';
import { join } from 'node:path';
import {
  addAddress,
  addRoute,
  changeLink,
  createBridge,
  createNetworkNamespace,
  createVeth,
  deleteLinkIfThere,
  findLink,
  inNetworkNamespace,
  NetlinkSocket,
  openNetworkNamespace,
  removeNetworkNamespace,
} from '@hcsshim/linux/netlink';

export const hostAddress = '198.51.100.1';
export const outsideAddress = '198.51.100.2';

/** Another machine that the host has a wire to. It sends what is for 10.213.0.0/16 to the host. */
export function connectOutside(directory: string): Disposable & { path: string } {
  const path = join(directory, 'outside');
  createNetworkNamespace(path, () => {});
  const fd = openNetworkNamespace(path);
  using host = NetlinkSocket.open('route');
  using outside = inNetworkNamespace(fd, () => NetlinkSocket.open('route'));
  const bytes = (text: string): Uint8Array => Uint8Array.from(text.split('.').map(Number));
  const mac = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 1, last);
  createBridge(host, { name: 'wire', address: mac(1) });
  const wire = findLink(host, 'wire')?.index ?? 0;
  addAddress(host, { index: wire, address: bytes(hostAddress), prefixLength: 24 });
  createVeth(host, {
    name: 'wire-end',
    master: wire,
    peer: { name: 'eth0', address: mac(2), namespaceFd: fd },
  });
  changeLink(outside, 'eth0', { up: true });
  const { index = 0 } = findLink(outside, 'eth0') ?? {};
  addAddress(outside, { index, address: bytes(outsideAddress), prefixLength: 24 });
  addRoute(outside, {
    index,
    destination: bytes('10.213.0.0'),
    prefixLength: 16,
    gateway: bytes(hostAddress),
  });
  closeSync(fd);
  return {
    path,
    [Symbol.dispose]() {
      using socket = NetlinkSocket.open('route');
      deleteLinkIfThere(socket, 'wire-end');
      deleteLinkIfThere(socket, 'wire');
      removeNetworkNamespace(path);
    },
  };
}
