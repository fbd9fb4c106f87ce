export { HcsError, isHcsError, isNotFound } from '@hcsshim/schema';
export {
  assertKeepsRule,
  faultOfEndpoint,
  faultOfNetwork,
  faultOfRoute,
  type RuleBreach,
} from './document-rules.ts';
export {
  type HnsVersion,
  isFeatureSupported,
  type NetworkFeature,
  networkFeatures,
  requireFeature,
  supportedFeatures,
} from './features.ts';
export {
  EndpointFlags,
  LoadBalancerDistribution,
  LoadBalancerFlags,
  LoadBalancerPortMappingFlags,
  NatFlags,
  NetworkFlags,
  Protocol,
  QueryFlags,
  SubnetFlags,
} from './flags.ts';
export {
  addLoadBalancer,
  addLoadBalancerEndpoint,
  type LoadBalancerOptions,
  removeLoadBalancerEndpoint,
} from './load-balancers.ts';
export {
  attachEndpoint,
  detachEndpoint,
  namespaceContainerIds,
  namespaceEndpointIds,
  newNamespace,
} from './namespaces.ts';
export type {
  CallOptions,
  ModifiableObjects,
  NetworkEvent,
  NetworkEventType,
  NetworkObjects,
  NetworkService,
  NetworkWatch,
  Stored,
} from './network-service.ts';
export {
  addNetworkPolicies,
  applyEndpointPolicies,
  type PolicyRequestType,
  removeNetworkPolicies,
} from './policies.ts';
export { endpointByName, endpointsOfNetwork, networkByName, queryFor, schemaVersion } from './queries.ts';
export { addRoute, addRouteEndpoint, removeRouteEndpoint } from './routes.ts';
