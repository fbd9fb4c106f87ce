import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HcsError, type OciMount, type OciSpec } from '@hcsshim/schema';

/** More than these the resolver ignores (`man 5 resolv.conf`). */
const mostSearches = 6;

export interface DnsSettings {
  searches?: readonly string[];
  servers?: readonly string[];
  options?: readonly string[];
}

/** Throws E_INVALIDARG for a host name that could do harm in `/etc/hosts`. The rule is upstream's. */
export function checkHostname(hostname: string): void {
  if (/^[\w.-]{0,255}$/.test(hostname)) return;
  throw new HcsError({
    action: 'Cannot name the container',
    problem: 'its host name may have letters, digits, "-", "_" and ".", at most 255',
    code: 'E_INVALIDARG',
  });
}

/** `/etc/hosts`: this host by its name, the usual names for IPv6. */
export function hostsFile(hostname: string): string {
  const [short] = hostname.split('.');
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  return [
    '127.0.0.1 localhost',
    `127.0.0.1 ${names}`,
    '',
    '::1     localhost ip6-localhost ip6-loopback',
    'fe00::0 ip6-localnet',
    'ff00::0 ip6-mcastprefix',
    'ff02::1 ip6-allnodes',
    'ff02::2 ip6-allrouters',
    '',
  ].join('\n');
}

/** `/etc/resolv.conf`. Throws E_INVALIDARG for more than six search domains. */
export function resolvConfFile({ searches = [], servers = [], options = [] }: DnsSettings): string {
  if (searches.length > mostSearches) {
    throw new HcsError({
      action: 'Cannot write resolv.conf',
      problem: `${searches.length} search domains are more than ${mostSearches}`,
      code: 'E_INVALIDARG',
    });
  }
  const line = (keyword: string, words: readonly string[]): string =>
    words.length > 0 ? `${keyword} ${words.join(' ')}\n` : '';
  return (
    line('search', searches) +
    servers.map((server) => line('nameserver', [server])).join('') +
    line('options', options)
  );
}

/** Files below `/etc` that belong to a container's network. */
export const networkFileNames = ['hostname', 'hosts', 'resolv.conf'] as const;

/** Writes the files that a container needs for its network into `directory`; the mounts that it lacks for them. */
export async function writeNetworkFiles(
  directory: string,
  spec: OciSpec,
  hostname: string,
  dns: DnsSettings = {},
): Promise<OciMount[]> {
  const contents: Record<(typeof networkFileNames)[number], string> = {
    hostname: `${hostname}\n`,
    hosts: hostsFile(hostname),
    'resolv.conf': resolvConfFile(dns),
  };
  const mounts: OciMount[] = [];
  for (const name of networkFileNames) {
    const destination = `/etc/${name}`;
    if (spec.mounts?.some((mount) => mount.destination === destination)) continue;
    const source = join(directory, name);
    await writeFile(source, contents[name], { mode: 0o644 });
    const options = ['bind', ...(spec.root?.readonly ? ['ro'] : [])];
    mounts.push({ destination, type: 'bind', source, options });
  }
  return mounts;
}
