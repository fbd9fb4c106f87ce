/** The name of an image in a registry. */
export interface ImageReference {
  /** Host, and port if it has one, as in the name: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  registry: string;
  /** `library/busybox` */
  repository: string;
  /** What to ask for: the digest if the name has one, else the tag, else `latest`. */
  tagOrDigest: string;
}

/** The name that images have whose own does not say a registry, and where that registry is. */
const hub = 'docker.io';
const hubHost = 'registry-1.docker.io';
/** Longest name of registry and repository together, as all registries have it. */
const longestName = 255;

const host = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/i;
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads a name as docker and containerd do: `busybox` is `docker.io/library/busybox:latest`, and the first part is a
 * registry when it has a dot or a port, or is `localhost`. Throws when it is no name.
 */
export function parseImageReference(text: string): ImageReference {
  const refuse = (problem: string): never => {
    throw new Error(`Cannot take "${text}" as the name of an image: ${problem}`);
  };
  const [beforeDigest = '', digest, ...more] = text.split('@');
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest))) {
    refuse('after "@" there must be "sha256:" and 64 hexadecimal digits');
  }
  const colon = beforeDigest.indexOf(':', beforeDigest.lastIndexOf('/') + 1);
  const tag = colon < 0 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) refuse(`"${tag}" is no tag`);
  const name = colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
  if (name.length > longestName) refuse(`it has more than ${longestName} characters`);
  const { registry, repository } = splitName(name);
  if (!host.test(registry)) refuse(`"${registry}" is no registry`);
  if (!repositoryPattern.test(repository))
    refuse(`"${repository}" is no repository, which has small letters`);
  return { registry, repository, tagOrDigest: digest ?? tag ?? 'latest' };
}

function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, slash);
  const isRegistry = slash > 0 && (/[.:]/.test(first) || first === 'localhost');
  const registry = !isRegistry || first === 'index.docker.io' ? hub : first;
  const repository = isRegistry ? name.slice(slash + 1) : name;
  return {
    registry,
    repository: registry === hub && !repository.includes('/') ? `library/${repository}` : repository,
  };
}

/** Where the registry answers. Only one on this machine is asked without TLS. */
export function registryOrigin({ registry }: ImageReference): string {
  if (registry === hub) return `https://${hubHost}`;
  const url = new URL(`https://${registry}`);
  if (isLoopback(url.hostname)) url.protocol = 'http:';
  return url.origin;
}

/** Whether a host of a URL is this machine itself, so that nobody listens on the way. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.[0-9]{1,3}){3}$/.test(hostname);
}

/** How archives name an image: `busybox:1`, `docker.io/library/busybox:1`, and by the tag alone. */
export function archiveNames({ registry, repository, tagOrDigest }: ImageReference): string[] {
  const canonical = `${registry}/${repository}:${tagOrDigest}`;
  const familiar = canonical.replace(/^docker\.io\/(library\/)?/, '');
  return [familiar, canonical, tagOrDigest];
}
