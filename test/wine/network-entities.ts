import { isDeepStrictEqual } from 'node:util';
import type { HResultName } from '@hcsshim/schema';

/** What the Host Network Service keeps, by the words in the names of its calls. */
export type EntityKind =
  | 'Network'
  | 'Endpoint'
  | 'Namespace'
  | 'LoadBalancer'
  | 'SdnRoute'
  | 'GuestNetworkService';

type Json = Record<string, unknown>;

export interface Entity {
  kind: EntityKind;
  /** A GUID in upper case. */
  id: string;
  document: Json;
}

type Entities = ReadonlyMap<string, Entity>;

export class Refused extends Error {
  readonly code: HResultName;
  constructor(code: HResultName) {
    super(`refused with ${code}`);
    this.code = code;
  }
}

export function refuse(code: HResultName): Refused {
  return new Refused(code);
}

const networkTypes = ['NAT', 'ICS', 'Transparent', 'L2Bridge', 'L2Tunnel', 'Overlay', 'Private', 'Internal'];
const schemaVersion = { Major: 2, Minor: 0 };

/** A document as the service keeps it: checked, and filled up with what it decides itself. */
export function newDocument(
  kind: EntityKind,
  settings: Json,
  network: Entity | undefined,
  entities: Entities,
): Json {
  // Fields come and go with builds; no schema has the last one.
  const filledIn = { SchemaVersion: schemaVersion, Health: { Extra: {} }, CurrentState: 1 };
  const document = { ...filledIn, ...settings };
  switch (kind) {
    case 'Network':
      return newNetwork(document, entities);
    case 'Endpoint':
      return newEndpoint(document, network as Entity, entities);
    case 'Namespace':
      return { Resources: [], NamespaceId: 2 + countOf('Namespace', entities), ...document };
    case 'LoadBalancer':
    case 'SdnRoute':
      for (const id of list<string>(settings.HostComputeEndpoints)) entityOf('Endpoint', id, entities);
      return document;
    case 'GuestNetworkService':
      return document;
  }
}

function newNetwork({ Type: type = 'NAT', ...document }: Json, entities: Entities): Json {
  if (!networkTypes.includes(String(type))) throw refuse('HCN_E_INVALID_NETWORK_TYPE');
  const isTaken = [...entities.values()].some(
    (one) => one.kind === 'Network' && document.Name !== undefined && one.document.Name === document.Name,
  );
  if (isTaken) throw refuse('HCN_E_NETWORK_ALREADY_EXISTS');
  for (const { IpAddressPrefix, Routes } of subnetsOf(document)) {
    if (IpAddressPrefix !== undefined && list(Routes).length === 0) throw refuse('HCN_E_INVALID_SUBNET');
  }
  return {
    Policies: [],
    Ipams: [],
    Flags: 0,
    MacPool: { Ranges: [{ StartMacAddress: '00-15-5D-00-00-00', EndMacAddress: '00-15-5D-00-FF-FF' }] },
    // The first of its words is what a document means that does not say its type.
    ...(type === 'NAT' ? {} : { Type: type }),
    ...document,
  };
}

function newEndpoint(document: Json, network: Entity, entities: Entities): Json {
  const named = document.HostComputeNetwork;
  if (named !== undefined && String(named).toUpperCase() !== network.id)
    throw refuse('HCN_E_INVALID_ENDPOINT');
  if (document.HostComputeNamespace !== undefined) throw refuse('HCN_E_INVALID_ENDPOINT');
  const number = countOf('Endpoint', entities) + 2;
  return {
    Policies: [],
    Flags: 0,
    MacAddress: `00-15-5D-00-00-${number.toString(16).toUpperCase().padStart(2, '0')}`,
    IpConfigurations: addressIn(network, number),
    ...document,
    HostComputeNetwork: network.id,
  };
}

/** The number-th address of the network's first subnet. */
function addressIn(network: Entity, number: number): Json[] {
  const [subnet] = subnetsOf(network.document);
  const [, start, prefixLength] = /^(\d+\.\d+\.\d+)\.0\/(\d+)$/.exec(String(subnet?.IpAddressPrefix)) ?? [];
  return start === undefined ? [] : [{ IpAddress: `${start}.${number}`, PrefixLength: Number(prefixLength) }];
}

/** Carries a request out. What the service does not know to change is refused. */
export function modifyEntity(entity: Entity, request: Json, entities: Entities): void {
  const { kind, document } = entity;
  const { RequestType: type = 'Add', ResourceType: resource, Settings: settings = {} } = request;
  if (kind === 'LoadBalancer') {
    Object.assign(document, newDocument(kind, request, undefined, entities), { ID: entity.id });
    return;
  }
  if (kind === 'SdnRoute') throw refuse('E_NOTIMPL');
  if (kind === 'GuestNetworkService') {
    if (resource !== 'State') throw refuse('HCN_E_REQUEST_UNSUPPORTED');
    Object.assign(document, { GuestState: (settings as Json).State });
    return;
  }
  if (type === 'Refresh') return;
  const change = changes[`${kind} ${resource}`];
  if (change === undefined) throw refuse('HCN_E_REQUEST_UNSUPPORTED');
  change({ entity, type: String(type), settings: settings as Json, entities });
}

interface Change {
  entity: Entity;
  type: string;
  settings: Json;
  entities: Entities;
}

const changes: Record<string, (change: Change) => void> = {
  'Network Policy': changePolicies,
  'Endpoint Policy': changePolicies,
  'Network DNS': ({ entity, settings }) => {
    entity.document.Dns = settings;
  },
  'Network Extension': ({ entity, settings }) => {
    entity.document.Extensions = [settings];
  },
  'Endpoint Port': ({ entity, type, settings }) => {
    const isAttached = entity.document.Port !== undefined;
    if (type === 'Add' && isAttached) throw refuse('HCN_E_ENDPOINT_ALREADY_ATTACHED');
    if (type === 'Remove' && !isAttached) throw refuse('HCN_E_ENDPOINT_NOT_ATTACHED');
    if (type === 'Remove') delete entity.document.Port;
    else entity.document.Port = settings;
  },
  'Namespace Endpoint': ({ entity, type, settings, entities }) => {
    const endpoint = entityOf('Endpoint', String(settings.EndpointId), entities);
    const { HostComputeNamespace: current } = endpoint.document;
    if (type === 'Add') {
      if (current !== undefined) throw refuse('HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS');
      endpoint.document.HostComputeNamespace = entity.id;
      changeResources(entity, 'Endpoint', endpoint.id, 'Add');
    } else {
      if (current !== entity.id) throw refuse('ERROR_NOT_FOUND');
      delete endpoint.document.HostComputeNamespace;
      changeResources(entity, 'Endpoint', endpoint.id, 'Remove');
    }
  },
  'Namespace Container': ({ entity, type, settings }) => {
    changeResources(entity, 'Container', String(settings.ContainerId), type);
  },
};

function changePolicies({ entity, type, settings }: Change): void {
  const { document } = entity;
  const given = list<Json>(settings.Policies);
  const kept = list<Json>(document.Policies);
  const isThere = (policy: Json) => kept.some((one) => isDeepStrictEqual(one, policy));
  if (type === 'Update') document.Policies = given;
  else if (type === 'Remove') {
    if (!given.every(isThere)) throw refuse('HCN_E_POLICY_NOT_FOUND');
    document.Policies = kept.filter((one) => !given.some((policy) => isDeepStrictEqual(one, policy)));
  } else {
    if (given.some(isThere)) throw refuse('HCN_E_POLICY_ALREADY_EXISTS');
    document.Policies = [...kept, ...given];
  }
}

function changeResources(namespace: Entity, resource: string, id: string, type: string): void {
  const { document } = namespace;
  const kept = list<{ Type: string; Data: { Id: string } }>(document.Resources);
  const others = kept.filter((one) => one.Type !== resource || one.Data.Id !== id);
  if (type === 'Remove' && others.length === kept.length) throw refuse('ERROR_NOT_FOUND');
  document.Resources = type === 'Remove' ? others : [...others, { Type: resource, Data: { Id: id } }];
}

/** Before a deletion: what is still in use stays, what only names it lets go. */
export function removeReferences(gone: Entity, entities: Entities): void {
  for (const { document } of entities.values()) {
    if (gone.kind === 'Network' && document.HostComputeNetwork === gone.id)
      throw refuse('HCN_E_ENTITY_HAS_REFERENCES');
    if (gone.kind === 'Namespace' && document.HostComputeNamespace === gone.id)
      delete document.HostComputeNamespace;
    if (gone.kind === 'Endpoint' && document.Resources !== undefined)
      document.Resources = list<{ Data: { Id: string } }>(document.Resources).filter(
        ({ Data }) => Data.Id !== gone.id,
      );
  }
}

function entityOf(kind: EntityKind, id: string, entities: Entities): Entity {
  const entity = entities.get(id.toUpperCase());
  if (entity?.kind === kind) return entity;
  throw refuse(kind === 'Endpoint' ? 'HCN_E_ENDPOINT_NOT_FOUND' : 'ERROR_NOT_FOUND');
}

function countOf(kind: EntityKind, entities: Entities): number {
  return [...entities.values()].filter((one) => one.kind === kind).length;
}

function subnetsOf(network: Json): Json[] {
  return list<{ Subnets?: unknown }>(network.Ipams).flatMap(({ Subnets }) => list<Json>(Subnets));
}

function list<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}
