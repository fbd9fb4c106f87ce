import type { Stored } from '@hcsshim/hcn';
import type {
  HostComputeEndpoint,
  HostComputeLoadBalancer,
  HostComputeNamespace,
  HostComputeNetwork,
  HostComputeRoute,
} from '@hcsshim/schema/hcn';

/** What is kept of an object: its document, and what another process must know of it besides. */
interface StoredRecord<Document> {
  version: 1;
  document: Stored<Document>;
}

export type NetworkRecord = StoredRecord<HostComputeNetwork>;

export interface EndpointRecord extends StoredRecord<HostComputeEndpoint> {
  /** In which namespace it is. There alone is this kept, so that both sides agree. */
  attachment?: {
    /** A GUID in lower case. */
    namespaceId: string;
    /** What it is called there. */
    interfaceName: string;
    /** Counts attachments to the namespace up, to list them in their order. */
    order: number;
  };
}

export type NamespaceRecord = StoredRecord<HostComputeNamespace>;
type LoadBalancerRecord = StoredRecord<HostComputeLoadBalancer>;
type RouteRecord = StoredRecord<HostComputeRoute>;

/** By the directories in which they are. */
export interface NetworkRecords {
  networks: NetworkRecord;
  endpoints: EndpointRecord;
  namespaces: NamespaceRecord;
  'load-balancers': LoadBalancerRecord;
  routes: RouteRecord;
}

export type RecordKind = keyof NetworkRecords;

export const recordKinds = [
  'networks',
  'endpoints',
  'namespaces',
  'load-balancers',
  'routes',
] as const satisfies readonly RecordKind[];
