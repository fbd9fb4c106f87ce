import type { HostComputeRoute, SDNRoutePolicySetting } from '@hcsshim/schema/hcn';
import { type EndpointLists, withEndpoint, withoutEndpoint } from './endpoint-lists.ts';
import type { CallOptions, NetworkService, Stored } from './network-service.ts';
import { schemaVersion } from './queries.ts';

/** Creates a route for endpoints, of which there must be one at least. */
export function addRoute(
  { routes }: NetworkService,
  endpointIds: string[],
  setting: SDNRoutePolicySetting,
  options?: CallOptions,
): Promise<Stored<HostComputeRoute>> {
  return routes.create(
    { SchemaVersion: schemaVersion, HostComputeEndpoints: endpointIds, Setting: [setting] },
    options,
  );
}

/** Deletes the route and creates it with one endpoint more; between the two it is not there. */
export function addRouteEndpoint(
  service: NetworkService,
  routeId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<Stored<HostComputeRoute>> {
  return withEndpoint(endpointLists(service), routeId, endpointId, options);
}

/** Deletes the route and creates it without an endpoint; between the two it is not there. */
export function removeRouteEndpoint(
  service: NetworkService,
  routeId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<Stored<HostComputeRoute>> {
  return withoutEndpoint(endpointLists(service), routeId, endpointId, options);
}

function endpointLists({ routes }: NetworkService): EndpointLists<HostComputeRoute> {
  return {
    objects: routes,
    fields: ['ID', 'HostComputeEndpoints', 'Setting', 'Routes', 'SchemaVersion'],
  };
}
