import { readFileSync } from 'node:fs';
import type { DNS } from '@hcsshim/schema/hcn';
import { isIn, parseIpv4 } from './ipv4.ts';

const loopback = { network: 127 * 2 ** 24, length: 8 };

/**
 * The host's DNS settings as its namespaces can use them: without servers on the host's loopback, which they do not
 * reach (resolv.conf(5)).
 */
export function hostDns(path = '/etc/resolv.conf'): DNS {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return {};
  }
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const valuesOf = (keyword: string): string[] | undefined =>
    lines.findLast(([first]) => first === keyword)?.slice(1);
  const ServerList = lines.flatMap(([keyword, server = '']) => {
    const address = parseIpv4(server);
    return keyword === 'nameserver' && address !== undefined && !isIn(loopback, address) ? [server] : [];
  });
  const [Domain] = valuesOf('domain') ?? [];
  const Search = valuesOf('search');
  return {
    ...(Domain === undefined ? {} : { Domain }),
    ...(Search === undefined ? {} : { Search }),
    ServerList,
  };
}
