import type { HostComputeLoadBalancer, ProtocolType } from '@hcsshim/schema/hcn';
import { type EndpointLists, withEndpoint, withoutEndpoint } from './endpoint-lists.ts';
import type { CallOptions, NetworkService, Stored } from './network-service.ts';
import { schemaVersion } from './queries.ts';

export interface LoadBalancerOptions {
  endpointIds: string[];
  /** `LoadBalancerFlags`. @default 0 */
  flags?: number;
  /** `LoadBalancerPortMappingFlags`. @default 0 */
  portMappingFlags?: number;
  /** The address that endpoints see connections come from. */
  sourceVip?: string;
  frontendVips: string[];
  protocol: ProtocolType;
  internalPort: number;
  externalPort: number;
}

/** Creates a load balancer that maps one port. */
export function addLoadBalancer(
  { loadBalancers }: NetworkService,
  balancer: LoadBalancerOptions,
  options?: CallOptions,
): Promise<Stored<HostComputeLoadBalancer>> {
  const { sourceVip, flags = 0, portMappingFlags = 0, protocol } = balancer;
  const mapping = {
    Protocol: protocol,
    InternalPort: balancer.internalPort,
    ExternalPort: balancer.externalPort,
    Flags: portMappingFlags,
  };
  return loadBalancers.create(
    {
      SchemaVersion: schemaVersion,
      HostComputeEndpoints: balancer.endpointIds,
      FrontendVIPs: balancer.frontendVips,
      PortMappings: [mapping],
      Flags: flags,
      ...(sourceVip === undefined ? {} : { SourceVIP: sourceVip }),
    },
    options,
  );
}

/** Deletes the load balancer and creates it with one endpoint more; between the two it is not there. */
export function addLoadBalancerEndpoint(
  service: NetworkService,
  loadBalancerId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<Stored<HostComputeLoadBalancer>> {
  return withEndpoint(endpointLists(service), loadBalancerId, endpointId, options);
}

/** Deletes the load balancer and creates it without an endpoint; between the two it is not there. */
export function removeLoadBalancerEndpoint(
  service: NetworkService,
  loadBalancerId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<Stored<HostComputeLoadBalancer>> {
  return withoutEndpoint(endpointLists(service), loadBalancerId, endpointId, options);
}

function endpointLists({ loadBalancers }: NetworkService): EndpointLists<HostComputeLoadBalancer> {
  return {
    objects: loadBalancers,
    fields: [
      'ID',
      'HostComputeEndpoints',
      'SourceVIP',
      'FrontendVIPs',
      'PortMappings',
      'Flags',
      'SchemaVersion',
    ],
  };
}
