import type {
  HostComputeEndpoint,
  HostComputeLoadBalancer,
  HostComputeNamespace,
  HostComputeNetwork,
  HostComputeRoute,
  ModifyEndpointSettingRequest,
  ModifyNamespaceSettingRequest,
  ModifyNetworkSettingRequest,
} from '@hcsshim/schema/hcn';
import { checkDocument } from '@hcsshim/schema/hcn';
import type { HandleName } from '@hcsshim/windows';
import { faultOfEndpoint, faultOfNetwork, faultOfRoute, type RuleBreach } from '../document-rules.ts';
import type { AnswerShape } from './answer.ts';

/** How the objects of one kind are called in `computenetwork.dll`, and what their documents are. */
export interface ObjectKind<Document, Request> {
  /** In messages. */
  noun: string;
  nouns: string;
  /** In the names of procedures: `HcnOpen…`. */
  procedure: 'Network' | 'Endpoint' | 'Namespace' | 'LoadBalancer' | 'SdnRoute';
  /** Name of the parameter that is a handle to one. */
  handle: string;
  handleName: HandleName;
  /** Name of the parameter that lists the ids of all. */
  list: string;
  checkDocument(document: Document): void;
  /** What the schema cannot say. @default nothing */
  faultOf?: (document: Document) => RuleBreach | undefined;
  checkRequest(request: Request): void;
  /** Of the service's answers. */
  shape: AnswerShape;
  /** What a field that is left out means. @default nothing */
  defaults?: Partial<Document>;
  /** The id of the network in which an object is created. */
  networkOf?: (document: Document) => string | undefined;
}

const common = { Name: 'string', Flags: 'number', Health: 'object', SchemaVersion: 'object' } as const;

export const networkKind: ObjectKind<HostComputeNetwork, ModifyNetworkSettingRequest> = {
  noun: 'network',
  nouns: 'networks',
  procedure: 'Network',
  handle: 'network',
  handleName: 'HCN_NETWORK',
  list: 'networks',
  checkDocument: (document) => checkDocument('HostComputeNetwork', document),
  faultOf: faultOfNetwork,
  checkRequest: (request) => {
    checkDocument('ModifyNetworkSettingRequest', request);
    if (request.ResourceType === 'Policy') checkDocument('PolicyNetworkRequest', request.Settings ?? {});
  },
  shape: { ...common, Type: 'string', Policies: 'list', Ipams: 'list', MacPool: 'object', Dns: 'object' },
  // The service leaves out a word whose number is 0.
  defaults: { Type: 'NAT' },
};

export const endpointKind: ObjectKind<HostComputeEndpoint, ModifyEndpointSettingRequest> = {
  noun: 'endpoint',
  nouns: 'endpoints',
  procedure: 'Endpoint',
  handle: 'endpoint',
  handleName: 'HCN_ENDPOINT',
  list: 'endpoints',
  checkDocument: (document) => checkDocument('HostComputeEndpoint', document),
  faultOf: faultOfEndpoint,
  checkRequest: (request) => {
    checkDocument('ModifyEndpointSettingRequest', request);
    if (request.ResourceType === 'Policy') checkDocument('PolicyEndpointRequest', request.Settings ?? {});
    if (request.ResourceType === 'Port') checkDocument('VmEndpointRequest', request.Settings ?? {});
  },
  shape: {
    ...common,
    HostComputeNetwork: 'string',
    HostComputeNamespace: 'string',
    Policies: 'list',
    IpConfigurations: 'list',
    Routes: 'list',
    MacAddress: 'string',
    Dns: 'object',
  },
  networkOf: ({ HostComputeNetwork }) => HostComputeNetwork,
};

export const namespaceKind: ObjectKind<HostComputeNamespace, ModifyNamespaceSettingRequest> = {
  noun: 'namespace',
  nouns: 'namespaces',
  procedure: 'Namespace',
  handle: 'namespace',
  handleName: 'HCN_NAMESPACE',
  list: 'namespaces',
  checkDocument: (document) => checkDocument('HostComputeNamespace', document),
  checkRequest: (request) => {
    checkDocument('ModifyNamespaceSettingRequest', request);
    if (request.ResourceType === 'Endpoint')
      checkDocument('NamespaceEndpointRequest', request.Settings ?? {});
    if (request.ResourceType === 'Container')
      checkDocument('NamespaceContainerRequest', request.Settings ?? {});
  },
  shape: { ...common, Type: 'string', NamespaceId: 'number', Resources: 'list' },
};

export const loadBalancerKind: ObjectKind<HostComputeLoadBalancer, HostComputeLoadBalancer> = {
  noun: 'load balancer',
  nouns: 'load balancers',
  procedure: 'LoadBalancer',
  handle: 'loadBalancer',
  handleName: 'HCN_LOADBALANCER',
  list: 'loadBalancers',
  checkDocument: (document) => checkDocument('HostComputeLoadBalancer', document),
  checkRequest: (document) => checkDocument('HostComputeLoadBalancer', document),
  shape: {
    ...common,
    HostComputeEndpoints: 'list of strings',
    FrontendVIPs: 'list of strings',
    SourceVIP: 'string',
    PortMappings: 'list',
  },
};

/** Routes have no requests. */
export const routeKind: ObjectKind<HostComputeRoute, never> = {
  noun: 'route',
  nouns: 'routes',
  procedure: 'SdnRoute',
  handle: 'route',
  handleName: 'HCN_ROUTE',
  list: 'routes',
  checkDocument: (document) => checkDocument('HostComputeRoute', document),
  faultOf: faultOfRoute,
  checkRequest: () => {},
  shape: { ...common, HostComputeEndpoints: 'list of strings', Setting: 'list', Routes: 'list' },
};
