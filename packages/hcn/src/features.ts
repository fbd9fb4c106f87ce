import { HcsError } from '@hcsshim/schema';

/** Version of the Host Network Service. It grows with updates of Windows, also of old builds. */
export interface HnsVersion {
  Major: number;
  Minor: number;
}

/** From a version on, to the last one with the major version `until`. */
interface VersionRange {
  from: readonly [major: number, minor: number];
  /** @default no end */
  until?: number;
}

const always: readonly VersionRange[] = [{ from: [0, 0] }];

/**
 * In which versions of the Host Network Service a feature is. An update that brought one to an old build counts
 * up the minor version of that build's major version, hence the gaps. Source: upstream's hcn, `hcnglobals.go`.
 */
const featureVersions = {
  /** Access control lists with several addresses, without host rules' precedence, with port ranges and ids. */
  AclAddressLists: [{ from: [7, 2] }],
  AclNoHostRulePriority: [{ from: [7, 2] }],
  AclPortRanges: [{ from: [7, 2] }],
  AclRuleId: [{ from: [7, 2] }],
  /** Documents of schema 1, through `HNSCall`. */
  ApiV1: always,
  /** Documents of schema 2, through `computenetwork.dll`. */
  ApiV2: [{ from: [9, 2] }],
  RemoteSubnet: [{ from: [9, 2] }],
  HostRoute: [{ from: [9, 2] }],
  /** Load balancers with direct server return. */
  DSR: [{ from: [9, 3], until: 9 }, { from: [10, 2] }],
  Slash32EndpointPrefixes: [{ from: [9, 3], until: 9 }, { from: [10, 4] }],
  /** Access control lists for VXLAN's protocol 252. */
  AclSupportForProtocol252: [{ from: [11, 0] }],
  SessionAffinity: [{ from: [12, 0] }],
  IPv6DualStack: [{ from: [11, 10] }],
  SetPolicy: [{ from: [13, 0] }],
  VxlanPort: [{ from: [10, 3] }],
  /** Policy of a network: redirects the traffic of all its endpoints. */
  L4Proxy: [
    { from: [9, 5], until: 9 },
    { from: [10, 5], until: 10 },
    { from: [11, 11], until: 11 },
    { from: [12, 1], until: 12 },
    { from: [13, 1] },
  ],
  /** Policy of an endpoint: redirects its traffic. */
  L4WfpProxy: [{ from: [13, 2] }],
  TierAcl: [{ from: [14, 0] }],
  NetworkACL: [{ from: [15, 0] }],
  NestedIpSet: [{ from: [15, 0] }],
  DisableHostPort: [{ from: [15, 1] }],
  ModifyLoadbalancer: [{ from: [15, 4] }],
  Accelnet: [{ from: [15, 4] }],
} as const satisfies Record<string, readonly VersionRange[]>;

export type NetworkFeature = keyof typeof featureVersions;

export const networkFeatures = Object.keys(featureVersions) as NetworkFeature[];

export function isFeatureSupported(version: HnsVersion, feature: NetworkFeature): boolean {
  return rangesOf(feature).some(({ from: [major, minor], until = Number.POSITIVE_INFINITY }) => {
    const isNewEnough = version.Major > major || (version.Major === major && version.Minor >= minor);
    return isNewEnough && version.Major <= until;
  });
}

/** Which features a version has. */
export function supportedFeatures(version: HnsVersion): Record<NetworkFeature, boolean> {
  return Object.fromEntries(
    networkFeatures.map((feature) => [feature, isFeatureSupported(version, feature)]),
  ) as Record<NetworkFeature, boolean>;
}

/** Throws ERROR_NOT_SUPPORTED, with the versions that have it, where a feature is missing. */
export function requireFeature(version: HnsVersion, feature: NetworkFeature): void {
  if (isFeatureSupported(version, feature)) return;
  throw new HcsError({
    action: `Cannot use the network feature "${feature}"`,
    problem: `it needs HNS ${describeVersions(feature)}, and this host has ${version.Major}.${version.Minor}, update Windows`,
    code: 'ERROR_NOT_SUPPORTED',
  });
}

/** `9.3 to 9.x, or 10.2 and newer`. */
function describeVersions(feature: NetworkFeature): string {
  const texts = rangesOf(feature).map(({ from: [major, minor], until }) =>
    until === undefined ? `${major}.${minor} and newer` : `${major}.${minor} to ${until}.x`,
  );
  return texts.length === 1 ? `${texts[0]}` : `${texts.slice(0, -1).join(', ')}, or ${texts.at(-1)}`;
}

function rangesOf(feature: NetworkFeature): readonly VersionRange[] {
  return featureVersions[feature];
}
