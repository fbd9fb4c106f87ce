import type {
  HostComputeEndpoint,
  HostComputeLoadBalancer,
  HostComputeNamespace,
  HostComputeNetwork,
  HostComputeQuery,
  HostComputeRoute,
  ModifyEndpointSettingRequest,
  ModifyNamespaceSettingRequest,
  ModifyNetworkSettingRequest,
} from '@hcsshim/schema/hcn';
import type { HnsVersion } from './features.ts';

/** What every call that can wait takes. */
export interface CallOptions {
  /** Gives the call up: it rejects with the signal's reason and undoes what it had begun. */
  signal?: AbortSignal | undefined;
}

/** A document as the service gives it: it has an id. Fields that no schema knows are kept. */
export type Stored<Document> = Document & { ID: string };

/**
 * The objects of one kind. They are addressed by id, a GUID in any letter case; nothing that a caller has to
 * close stays open between two calls. What does not exist gives HCN_E_NETWORK_NOT_FOUND, HCN_E_ENDPOINT_NOT_FOUND,
 * or for other kinds ERROR_NOT_FOUND.
 */
export interface NetworkObjects<Document> {
  /**
   * Creates an object and gives its document with what the service has filled in. Without an `ID` it gets a new
   * one, without a `SchemaVersion` 2.0. Throws HCS_E_INVALID_JSON for a document with a mistake,
   * HCN_E_NETWORK_ALREADY_EXISTS or ERROR_ALREADY_EXISTS for a name or id that is taken, and other HCN_E_… codes.
   */
  create(document: Document, options?: CallOptions): Promise<Stored<Document>>;
  /** What the service says of the object now. */
  open(id: string, options?: CallOptions): Promise<Stored<Document>>;
  /**
   * All objects, or those that the query's `Filter` lets through: JSON, for example `{"Name":"nat"}`.
   * An object that goes away meanwhile is left out.
   */
  enumerate(query?: HostComputeQuery, options?: CallOptions): Promise<Stored<Document>[]>;
  delete(id: string, options?: CallOptions): Promise<void>;
}

export interface ModifiableObjects<Document, Request> extends NetworkObjects<Document> {
  /** Carries the request out and gives the document as it is then. */
  modify(id: string, request: Request, options?: CallOptions): Promise<Stored<Document>>;
}

/** The Host Compute Network: creates networks and all that belongs to them, finds those that exist. */
export interface NetworkService {
  readonly networks: ModifiableObjects<HostComputeNetwork, ModifyNetworkSettingRequest>;
  /** An endpoint's document names its network in `HostComputeNetwork`. */
  readonly endpoints: ModifiableObjects<HostComputeEndpoint, ModifyEndpointSettingRequest>;
  readonly namespaces: ModifiableObjects<HostComputeNamespace, ModifyNamespaceSettingRequest>;
  /** Changed by a whole document, from HNS 15.4 on (feature `ModifyLoadbalancer`). */
  readonly loadBalancers: ModifiableObjects<HostComputeLoadBalancer, HostComputeLoadBalancer>;
  /** Routes cannot be changed: delete and create them. */
  readonly routes: NetworkObjects<HostComputeRoute>;
  /** The version of the Host Network Service, which tells its features. */
  version(options?: CallOptions): Promise<HnsVersion>;
  /** Tells of networks and namespaces that come and go, from now on until the watch is disposed of. */
  watch(listener: (event: NetworkEvent) => void, options?: CallOptions): Promise<NetworkWatch>;
}

/** While it is open it keeps the process alive. After its disposal nothing is told any more. */
export interface NetworkWatch extends AsyncDisposable {}

/** Of each kind the one before comes first: `NetworkPreCreate`, then `NetworkCreate`. */
export type NetworkEventType =
  | 'NetworkPreCreate'
  | 'NetworkCreate'
  | 'NetworkPreDelete'
  | 'NetworkDelete'
  | 'NamespaceCreate'
  | 'NamespaceDelete'
  /** The service has gone; the watch hears nothing any more. */
  | 'ServiceDisconnect'
  /** What this package has no name for. */
  | 'Other';

export interface NetworkEvent {
  type: NetworkEventType;
  /** The service's number of the type (`HCN_NOTIFICATIONS`). */
  number: number;
  /** GUID of what it is about, where the service says so. */
  id?: string;
}
