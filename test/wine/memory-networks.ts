import { randomUUID } from 'node:crypto';
import { HResult } from '@hcsshim/schema';

/** `EndpointState` of hcsshim's internal/hns. */
const created = 1;
const attached = 2;
const detached = 4;

type Entity = Record<string, unknown> & { ID: string };

/** Why a request fails: the words are the service's own, with the space at their end. */
class HnsFailure extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

const collections = ['networks', 'endpoints', 'policylists', 'namespaces'] as const;
type Collection = (typeof collections)[number];

const notFound: Record<Collection, () => HnsFailure> = {
  networks: () => new HnsFailure('The network was not found. ', HResult.HCN_E_NETWORK_NOT_FOUND),
  endpoints: () => new HnsFailure('The endpoint was not found. ', HResult.HCN_E_ENDPOINT_NOT_FOUND),
  policylists: () => new HnsFailure('Element not found. ', HResult.ERROR_NOT_FOUND),
  namespaces: () => new HnsFailure('Element not found. ', HResult.ERROR_NOT_FOUND),
};

const invalid = () => new HnsFailure('The parameter is incorrect. ', HResult.E_INVALIDARG);

/**
 * The Host Network Service as `HNSCall` of `vmcompute.dll` speaks to it, in memory alone: requests by method, path
 * and document, and answers `{"Success":true,"Output":…}`. Paths, fields and names are those of hcsshim's
 * internal/hns; the words and codes of failures are the service's where hcsshim relies on them, and otherwise
 * those of the newer network service.
 */
export class MemoryNetworks {
  readonly #entities: Record<Collection, Map<string, Entity>> = {
    networks: new Map(),
    endpoints: new Map(),
    policylists: new Map(),
    namespaces: new Map(),
  };
  #macs: unknown[] = [];
  #lastHost = 1;
  #lastCompartment = 1;

  /** @param strings Method, path, and the request's document, which may be empty. */
  answer([method, path, request]: readonly (string | null)[]): string {
    try {
      const output = this.#carryOut(method ?? '', path ?? '', request ?? '');
      return JSON.stringify({ Success: true, ...(output === undefined ? {} : { Output: output }) });
    } catch (error) {
      if (!(error instanceof HnsFailure)) throw error;
      return JSON.stringify({ Success: false, Error: error.message, ErrorCode: error.code });
    }
  }

  #carryOut(method: string, path: string, request: string): unknown {
    const [, resource = '', id = '', verb = ''] = path.split('/');
    if (method === 'GET' && path === '/globals/version') return { Major: 15, Minor: 4 };
    if (resource === 'accelnet') return this.#managementMacs(method, request);
    if (method === 'GET' && resource === 'endpointstats') return this.#statistics(id);
    const collection = collections.find((name) => name === resource);
    if (collection === undefined) throw invalid();
    if (method === 'GET') return id === '' ? this.#list(collection) : this.#find(collection, id);
    if (method === 'DELETE') return this.#remove(collection, id);
    if (method !== 'POST') throw invalid();
    const document = parse(request);
    if (id === '') return this.#create(collection, document);
    const entity = this.#find(collection, id);
    if (verb !== '') return this.#act(collection, verb, entity, document);
    return Object.assign(entity, document, { ID: entity.ID });
  }

  #list(collection: Collection): Entity[] {
    return [...this.#entities[collection].values()];
  }

  #find(collection: Collection, id: string): Entity {
    const found = this.#entities[collection].get(id.toUpperCase());
    if (found === undefined) throw notFound[collection]();
    return found;
  }

  #create(collection: Collection, document: Record<string, unknown>): Entity {
    const ID = typeof document.ID === 'string' ? document.ID.toUpperCase() : randomUUID().toUpperCase();
    if (this.#entities[collection].has(ID)) {
      throw new HnsFailure('The object already exists. ', HResult.ERROR_ALREADY_EXISTS);
    }
    const entity = { ...this.#defaults(collection, document), ...document, ID };
    this.#entities[collection].set(ID, entity);
    return entity;
  }

  /** What the service adds to what it was asked for. */
  #defaults(collection: Collection, document: Record<string, unknown>): Record<string, unknown> {
    if (collection === 'networks') {
      if (typeof document.Type !== 'string') throw invalid();
      return { Name: '', Subnets: [], Policies: [] };
    }
    if (collection === 'endpoints') {
      const network = this.#find('networks', String(document.VirtualNetwork ?? ''));
      const [subnet] = (network.Subnets ?? []) as { AddressPrefix?: string; GatewayAddress?: string }[];
      const [address = '10.0.0.0', length = '24'] = subnet?.AddressPrefix?.split('/') ?? [];
      const host = ++this.#lastHost;
      return {
        VirtualNetworkName: network.Name,
        IPAddress: address.replace(/\d+$/, String(host)),
        PrefixLength: Number(length),
        GatewayAddress: subnet?.GatewayAddress ?? '',
        MacAddress: `00-15-5D-00-00-${host.toString(16).toUpperCase().padStart(2, '0')}`,
        State: created,
        SharedContainers: [],
      };
    }
    if (collection === 'namespaces') {
      return { IsDefault: false, ResourceList: [], CompartmentId: ++this.#lastCompartment };
    }
    for (const reference of (document.References ?? []) as string[])
      this.#find('endpoints', reference.replace('/endpoints/', ''));
    return { References: [], Policies: [] };
  }

  /** With a network go its endpoints. */
  #remove(collection: Collection, id: string): { ID: string } {
    const { ID } = this.#find(collection, id);
    this.#entities[collection].delete(ID);
    if (collection === 'networks') {
      for (const endpoint of this.#list('endpoints'))
        if (String(endpoint.VirtualNetwork).toUpperCase() === ID)
          this.#entities.endpoints.delete(endpoint.ID);
    }
    return { ID };
  }

  #act(collection: Collection, verb: string, entity: Entity, document: Record<string, unknown>): unknown {
    if (collection === 'endpoints' && (verb === 'attach' || verb === 'detach')) {
      const container = String(document.ContainerId ?? '');
      const others = (entity.SharedContainers as string[]).filter((one) => one !== container);
      entity.SharedContainers = verb === 'attach' && container !== '' ? [...others, container] : others;
      entity.State = verb === 'attach' ? attached : detached;
      return undefined;
    }
    if (collection === 'namespaces' && (verb === 'addresource' || verb === 'removeresource')) {
      const { Type, Data } = document as { Type?: string; Data?: { Id?: string } };
      const { ID } = this.#find('endpoints', Data?.Id ?? '');
      const others = (entity.ResourceList as { Data: { Id: string } }[]).filter(
        ({ Data: { Id } }) => Id !== ID,
      );
      if (verb === 'removeresource' && others.length === (entity.ResourceList as unknown[]).length)
        throw notFound.namespaces();
      entity.ResourceList = verb === 'addresource' ? [...others, { Type, Data: { Id: ID } }] : others;
      return entity;
    }
    throw invalid();
  }

  #managementMacs(method: string, request: string): unknown {
    if (method === 'DELETE') this.#macs = [];
    if (method === 'POST') {
      const { MacAddressList } = parse(request);
      if (!Array.isArray(MacAddressList) || MacAddressList.length === 0) throw invalid();
      this.#macs = MacAddressList;
    }
    return { MacAddressList: this.#macs };
  }

  #statistics(id: string): unknown {
    const { ID } = this.#find('endpoints', id);
    const counts = { BytesReceived: 0, BytesSent: 0, PacketsReceived: 0, PacketsSent: 0 };
    return {
      ...counts,
      DroppedPacketsIncoming: 0,
      DroppedPacketsOutgoing: 0,
      EndpointId: ID,
      InstanceId: ID,
    };
  }
}

function parse(request: string): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(request === '' ? '{}' : request);
    if (typeof document === 'object' && document !== null) return document as Record<string, unknown>;
  } catch {
    // As below.
  }
  throw new HnsFailure('The JSON document is invalid. ', HResult.HCN_E_INVALID_JSON);
}
