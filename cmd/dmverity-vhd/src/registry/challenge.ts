/** How a registry wants to be told who asks (RFC 9110, section 11). */
export type Challenge =
  | { scheme: 'basic' }
  /** Get a token from `realm` (distribution, "Token Authentication Specification"). */
  | { scheme: 'bearer'; realm: string; service?: string; scope?: string };

/** The first challenge of a `WWW-Authenticate` header that is known; undefined when there is none. */
export function parseChallenge(header: string): Challenge | undefined {
  for (const [, scheme = '', rest = ''] of header.matchAll(
    /(?:^|,)\s*(basic|bearer)\b\s*((?:[a-z_]+\s*=\s*(?:"[^"]*"|[^\s",]+)\s*,?\s*)*)/gi,
  )) {
    if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' };
    const parameters = new Map<string, string>();
    for (const [, name = '', quoted, bare] of rest.matchAll(/([a-z_]+)\s*=\s*(?:"([^"]*)"|([^\s",]+))/gi)) {
      parameters.set(name.toLowerCase(), quoted ?? bare ?? '');
    }
    const [realm, service, scope] = ['realm', 'service', 'scope'].map((name) => parameters.get(name));
    if (realm === undefined) continue;
    return {
      scheme: 'bearer',
      realm,
      ...(service !== undefined && { service }),
      ...(scope !== undefined && { scope }),
    };
  }
  return undefined;
}
