import type { NetworkRoute } from '@hcsshim/linux/netlink';
import type { HostComputeEndpoint, HostComputeRoute, SDNRoutePolicySetting } from '@hcsshim/schema/hcn';
import { formatIpv4, ipv4Bytes, isIn, networkOf, readIpv4, readPrefix } from './ipv4.ts';
import { notSupported, Refusal } from './refusal.ts';

/** A route of an endpoint, whose link is not known yet. */
export type InterfaceRoute = Omit<NetworkRoute, 'index'>;

interface WantedRoute {
  DestinationPrefix?: string;
  NextHop?: string;
  Metric?: number;
}

/** The routes in an endpoint's document and those of the route objects that name it. */
export function routesOf(
  endpoint: HostComputeEndpoint,
  objects: readonly HostComputeRoute[],
): InterfaceRoute[] {
  const id = endpoint.ID?.toLowerCase();
  const ofObjects = objects.filter(({ HostComputeEndpoints }) =>
    (HostComputeEndpoints ?? []).some((one) => one.toLowerCase() === id),
  );
  const settings = ofObjects.flatMap((route) => settingsOf(route));
  return [...(endpoint.Routes ?? []), ...settings].map((route) => readRoute(endpoint, route));
}

/** Both names of the field are met. */
function settingsOf({ Setting, Routes }: HostComputeRoute): SDNRoutePolicySetting[] {
  return [...(Setting ?? []), ...(Routes ?? [])];
}

/** Throws for a route object that cannot be carried out for these endpoints. */
export function checkRoute(route: HostComputeRoute, endpoints: readonly HostComputeEndpoint[]): void {
  for (const setting of settingsOf(route)) {
    if (setting.NeedEncap)
      throw notSupported('"NeedEncap" asks for encapsulation, of which there is none on Linux');
    if (setting.AutomaticEndpointMonitor)
      throw notSupported('"AutomaticEndpointMonitor" is not carried out on Linux, leave it out');
    for (const endpoint of endpoints) readRoute(endpoint, setting);
  }
}

/** Whether two routes are one to the kernel, which knows them apart by destination and metric. */
export function isSameRoute(one: InterfaceRoute, other: InterfaceRoute): boolean {
  const isSameDestination = Buffer.compare(one.destination, other.destination) === 0;
  return (
    isSameDestination && one.prefixLength === other.prefixLength && (one.metric ?? 0) === (other.metric ?? 0)
  );
}

/** A next hop must be a neighbour: to others there is no way. */
function readRoute({ IpConfigurations }: HostComputeEndpoint, route: WantedRoute): InterfaceRoute {
  const { DestinationPrefix = '', NextHop = '', Metric = 0 } = route;
  const { network, length } = readPrefix('DestinationPrefix', DestinationPrefix);
  const toDestination = {
    destination: ipv4Bytes(network),
    prefixLength: length,
    ...(Metric > 0 ? { metric: Metric } : {}),
  };
  const gateway = NextHop === '' ? 0 : readIpv4('NextHop', NextHop);
  if (gateway === 0) return toDestination;
  const isNeighbour = (IpConfigurations ?? []).some(({ IpAddress = '', PrefixLength = 32 }) => {
    const own = readIpv4('IpAddress', IpAddress);
    return isIn({ network: networkOf(own, PrefixLength), length: PrefixLength }, gateway);
  });
  if (!isNeighbour)
    throw new Refusal(
      'HCN_E_INVALID_IP',
      `the next hop ${formatIpv4(gateway)} of the route to "${DestinationPrefix}" is in no subnet of the endpoint`,
    );
  return { ...toDestination, gateway: ipv4Bytes(gateway) };
}
