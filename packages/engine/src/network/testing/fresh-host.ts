import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changeLink, NetlinkSocket, unshareNetworkNamespace } from '@hcsshim/linux/netlink';

/** Why tests with real networks cannot run; undefined where they can. */
export const whyNoNetworks =
  process.platform !== 'linux' || process.geteuid?.() !== 0 ? 'networks need root on Linux' : undefined;

let isFresh = false;

/**
 * Moves this process, once, into a network namespace of its own: whatever a test makes of bridges, links and packet
 * filters, the machine's own networks do not see it, and all of it is gone with the process.
 */
export function enterFreshHost(): void {
  if (isFresh || whyNoNetworks !== undefined) return;
  unshareNetworkNamespace();
  using socket = NetlinkSocket.open('route');
  changeLink(socket, 'lo', { up: true });
  isFresh = true;
}

/** A state directory for the time of a test. */
export function lendStateDirectory(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'hcsshim-network-'));
  // A namespace that a test has left mounted makes this fail, which is to be seen.
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

/** A document for a network with one subnet, `10.213.<number>.0/24`. */
export function networkDocument(name: string, number: number, type: 'NAT' | 'Internal' | 'Private' = 'NAT') {
  const subnet = `10.213.${number}`;
  return {
    Name: name,
    Type: type,
    Ipams: [
      {
        Type: 'Static' as const,
        Subnets: [
          {
            IpAddressPrefix: `${subnet}.0/24`,
            Routes: [{ NextHop: `${subnet}.1`, DestinationPrefix: '0.0.0.0/0' }],
          },
        ],
      },
    ],
  };
}
