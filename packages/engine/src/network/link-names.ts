import { createHash } from 'node:crypto';

/**
 * The names of what the kernel has of an object: made of its id, so that whoever has the id finds it. A link's name
 * has at most 15 characters, which leaves 11 digits.
 */
const digits = 11;

export function bridgeName(networkId: string): string {
  return `hcnb${short(networkId)}`;
}

/** Of the end of an endpoint's link that is a port of the bridge. */
export function portName(endpointId: string): string {
  return `hcne${short(endpointId)}`;
}

export function networkTableName(networkId: string): string {
  return `hcsshim-network-${short(networkId)}`;
}

export function loadBalancerTableName(loadBalancerId: string): string {
  return `hcsshim-balancer-${short(loadBalancerId)}`;
}

/** Inside a namespace there is one. */
export const aclTableName = 'hcsshim-acl';

function short(id: string): string {
  return id.replaceAll('-', '').slice(0, digits);
}

/** IFALIASZ less its NUL and the rest of an alias, in bytes. */
const longestRootInAlias = 190;

/** What `ip link` shows of a link: what it is for, and whose it is. */
export function linkAlias(subject: 'network' | 'endpoint', id: string, stateRoot: string): string {
  const isShort = Buffer.byteLength(stateRoot) <= longestRootInAlias;
  const root = isShort ? stateRoot : createHash('sha256').update(stateRoot).digest('hex');
  return `hcsshim ${subject} ${id} of ${root}`;
}

/** Which object of a state directory a link is for; undefined when it is for none. */
export function subjectOfAlias(
  alias: string,
  stateRoot: string,
): { subject: 'network' | 'endpoint'; id: string } | undefined {
  const [, subject, id] = /^hcsshim (network|endpoint) ([0-9a-f-]{36}) of /.exec(alias) ?? [];
  if (subject === undefined || id === undefined) return undefined;
  const named = subject as 'network' | 'endpoint';
  return alias === linkAlias(named, id, stateRoot) ? { subject: named, id } : undefined;
}
