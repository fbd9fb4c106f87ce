import { randomUUID } from 'node:crypto';
import { HResult, type HResultName } from '@hcsshim/schema';
import { resultMeanings } from '@hcsshim/schema/hresults';
import {
  type Entity,
  type EntityKind,
  modifyEntity,
  newDocument,
  Refused,
  refuse,
  removeReferences,
} from './network-entities.ts';
import type { Answer, Backend, Call, Tell } from './stand-in-service.ts';

/**
 * Misbehaviour, asked for with a text `"fault: not json"` in a call's document, or as the name of what a query
 * is about:
 * - `refused`: the call fails. `unknown code`, `no record`, `garbage record`: it fails with a code that nobody
 *   knows, without an error record, with one that is no JSON.
 * - `success record`: the code tells of success, the error record of a failure.
 * - `no handle`: success, but a null handle. `nothing`: success, but no document.
 * - `not json`, `wrong types`, `huge`: success, with such a document.
 * - `odd notification`: one of an unknown type with data that is no JSON, one with data of another type.
 *   `disconnect`: every subscription hears that the service has gone, although it has not.
 * - `slow`: the answer comes after a second. `gone`: what was created is not there when it is asked about.
 */
export type NetworkFault =
  | 'refused'
  | 'unknown code'
  | 'no record'
  | 'garbage record'
  | 'success record'
  | 'no handle'
  | 'nothing'
  | 'not json'
  | 'wrong types'
  | 'huge'
  | 'odd notification'
  | 'disconnect'
  | 'slow'
  | 'gone';

/** `HCN_NOTIFICATIONS` (computenetwork.h). */
const notifications = {
  networkPreCreate: 1,
  networkCreate: 2,
  networkPreDelete: 3,
  networkDelete: 4,
  namespaceCreate: 5,
  namespaceDelete: 6,
  guestNetworkServiceCreate: 7,
  guestNetworkServiceDelete: 8,
  guestNetworkServiceStateChanged: 0x11,
  serviceDisconnect: 0x01000000,
} as const;

const hugeCharacters = 20_000_000;
const slowAnswer = 1_000;
const nobody = '00000000-0000-0000-0000-000000000000';
const firstDynamicPort = 49_152;
const lastPort = 65_535;
/** `HCN_PORT_PROTOCOL`, `HCN_PORT_ACCESS`. */
const bothProtocols = 3;
const exclusive = 1;

const notFound: Record<EntityKind, HResultName> = {
  Network: 'HCN_E_NETWORK_NOT_FOUND',
  Endpoint: 'HCN_E_ENDPOINT_NOT_FOUND',
  Namespace: 'ERROR_NOT_FOUND',
  LoadBalancer: 'ERROR_NOT_FOUND',
  SdnRoute: 'ERROR_NOT_FOUND',
  GuestNetworkService: 'ERROR_NOT_FOUND',
};

const preCreate: Partial<Record<EntityKind, number>> = { Network: notifications.networkPreCreate };
const created: Partial<Record<EntityKind, number>> = {
  Network: notifications.networkCreate,
  Namespace: notifications.namespaceCreate,
  GuestNetworkService: notifications.guestNetworkServiceCreate,
};
const preDelete: Partial<Record<EntityKind, number>> = { Network: notifications.networkPreDelete };
const deleted: Partial<Record<EntityKind, number>> = {
  Network: notifications.networkDelete,
  Namespace: notifications.namespaceDelete,
  GuestNetworkService: notifications.guestNetworkServiceDelete,
};

interface Reservation {
  owner: string;
  protocol: number;
  access: number;
  first: number;
  last: number;
}

/** Networks and all that belongs to them, in memory alone, with the codes and records of the Host Network Service. */
export function networkBackend(tell: Tell): Backend {
  const host = new NetworkHost(tell);
  return {
    answer: async (call) => {
      try {
        return await host.answer(call);
      } catch (error) {
        if (error instanceof Refused) return failure(error.code);
        throw error;
      }
    },
  };
}

const objectCall =
  /^Hcn(Enumerate|Create|Open|Modify|Query|Delete|Close)(Network|Endpoint|Namespace|LoadBalancer|SdnRoute|GuestNetworkService)(?:s|Properties)?$/;

class NetworkHost {
  readonly #tell: Tell;
  readonly #entities = new Map<string, Entity>();
  /** What each handle is open to, by the handle's number. */
  readonly #handles = new Map<number, Entity>();
  readonly #reservations = new Map<number, Reservation>();
  #lastTarget = 0;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  async answer(call: Call): Promise<Answer> {
    const fault = faultOf(call) ?? this.#faultOfQueried(call);
    if (fault === 'refused') throw new Refused('E_ACCESSDENIED');
    if (fault === 'odd notification') {
      this.#tell(0x7abcdef0, 0, 'no JSON {');
      this.#tell(notifications.networkCreate, 0, '{"ID":7}');
    }
    if (fault === 'disconnect') this.#tell(notifications.serviceDisconnect, 0, null);
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, slowAnswer));
    const answer = this.#carryOut(call);
    return fault === undefined ? answer : spoil(answer, fault);
  }

  #carryOut(call: Call): Answer {
    const [, verb, kind] = (objectCall.exec(call.name) ?? []) as [unknown, string?, EntityKind?];
    if (verb === undefined || kind === undefined) return this.#carryOutPortCall(call);
    const [first, second] = call.strings;
    switch (verb) {
      case 'Enumerate':
        return { document: JSON.stringify(this.#find(kind, first ?? '')) };
      case 'Create':
        return this.#create(kind, first ?? nobody, second ?? '', call.target);
      case 'Open':
        return { target: this.#open(this.#entity(kind, first ?? '')) };
      case 'Delete':
        return this.#delete(this.#entity(kind, first ?? ''));
      case 'Close':
        this.#handles.delete(call.target);
        return {};
    }
    const entity = this.#handles.get(call.target);
    if (entity === undefined) throw new Refused('ERROR_INVALID_HANDLE');
    if (this.#entities.get(entity.id) !== entity) throw new Refused(notFound[kind]);
    if (verb === 'Query') {
      parse(first || '{}');
      return { document: JSON.stringify(entity.document) };
    }
    this.#modify(entity, parse(first ?? ''));
    return {};
  }

  #create(kind: EntityKind, given: string, settings: string, parent: number): Answer {
    const document = parse(settings);
    const asked = typeof document.ID === 'string' ? document.ID.toUpperCase() : undefined;
    const id = given === nobody ? (asked ?? randomUUID().toUpperCase()) : given.toUpperCase();
    if (asked !== undefined && asked !== id) throw new Refused('E_INVALIDARG');
    const network = this.#handles.get(parent);
    if (kind === 'Endpoint' && network === undefined) throw new Refused('ERROR_INVALID_HANDLE');
    if (this.#entities.has(id))
      throw new Refused(kind === 'Network' ? 'HCN_E_NETWORK_ALREADY_EXISTS' : 'ERROR_ALREADY_EXISTS');
    const entity: Entity = {
      kind,
      id,
      document: newDocument(kind, { ...document, ID: id }, network, this.#entities),
    };
    this.#announce(preCreate[kind], id);
    this.#entities.set(id, entity);
    this.#announce(created[kind], id);
    return { target: this.#open(entity) };
  }

  #delete(entity: Entity): Answer {
    removeReferences(entity, this.#entities);
    this.#announce(preDelete[entity.kind], entity.id);
    this.#entities.delete(entity.id);
    this.#announce(deleted[entity.kind], entity.id);
    return {};
  }

  #modify(entity: Entity, request: Record<string, unknown>): void {
    modifyEntity(entity, request, this.#entities);
    if (entity.kind !== 'GuestNetworkService') return;
    const data = JSON.stringify({ ID: entity.id, Flags: 0, Data: request.Settings });
    for (const [target, listener] of this.#handles)
      if (listener === entity) this.#tell(notifications.guestNetworkServiceStateChanged, target, data);
  }

  /** Ids of what the query's filter lets through: every field in it must be equal, letter case aside. */
  #find(kind: EntityKind, query: string): string[] {
    const { Filter: filter = '{}' } = parse(query || '{}');
    if (typeof filter !== 'string') throw new Refused('HCN_E_INVALID_JSON');
    const wanted = Object.entries(parse(filter || '{}'));
    const fits = ({ document }: Entity) =>
      wanted.every(
        ([name, value]) => String(document[name] ?? '').toLowerCase() === String(value).toLowerCase(),
      );
    return [...this.#entities.values()]
      .filter((entity) => entity.kind === kind && fits(entity))
      .map(({ id }) => id);
  }

  #entity(kind: EntityKind, id: string): Entity {
    const entity = this.#entities.get(id.toUpperCase());
    if (entity?.kind !== kind) throw new Refused(notFound[kind]);
    return entity;
  }

  #open(entity: Entity): number {
    this.#handles.set(++this.#lastTarget, entity);
    return this.#lastTarget;
  }

  /** `NotificationBase` of Microsoft's schema. */
  #announce(type: number | undefined, id: string): void {
    if (type !== undefined) this.#tell(type, 0, JSON.stringify({ ID: id, Flags: 0 }));
  }

  #carryOutPortCall({ name, target, strings }: Call): Answer {
    const owner = this.#handles.get(target)?.id ?? '';
    switch (name) {
      case 'HcnReserveGuestNetworkServicePort': {
        const [protocol, access, port] = strings.map(Number) as [number, number, number];
        if (port === 0) throw new Refused('E_INVALIDARG');
        return this.#reserve({ owner, protocol, access, first: port, last: port });
      }
      case 'HcnReserveGuestNetworkServicePortRange': {
        const count = Number(strings[0]);
        const first = this.#firstFreeRange(count);
        const range = { owner, protocol: bothProtocols, access: exclusive, first, last: first + count - 1 };
        return { ...this.#reserve(range), document: `${range.first} ${range.last}` };
      }
      case 'HcnReleaseGuestNetworkServicePortReservationHandle':
        this.#reservations.delete(target);
        return {};
      case 'HcnEnumerateGuestNetworkPortReservations':
        return {
          document: [...this.#reservations.values()]
            .map((one) => `${one.protocol} ${one.access} ${one.first} ${one.last} ${one.owner}\n`)
            .join(''),
        };
      default:
        throw new Refused('E_NOTIMPL');
    }
  }

  #reserve(wanted: Reservation): Answer {
    if ([...this.#reservations.values()].some((one) => conflicts(one, wanted)))
      throw new Refused('HCN_E_PORT_ALREADY_EXISTS');
    this.#reservations.set(++this.#lastTarget, wanted);
    return { target: this.#lastTarget };
  }

  #firstFreeRange(count: number): number {
    const taken = [...this.#reservations.values()].map(({ last }) => last + 1);
    const first = Math.max(firstDynamicPort, ...taken);
    if (count === 0 || first + count - 1 > lastPort) throw new Refused('E_INVALIDARG');
    return first;
  }

  #faultOfQueried({ name, target }: Call): NetworkFault | undefined {
    if (!name.startsWith('HcnQuery')) return undefined;
    const named = this.#handles.get(target)?.document.Name;
    const [, fault] = /^fault: ([a-z ]+)$/.exec(String(named ?? '')) ?? [];
    if (fault === 'gone') throw refuse('ERROR_NOT_FOUND');
    return fault as NetworkFault | undefined;
  }
}

function conflicts(one: Reservation, other: Reservation): boolean {
  const overlap = one.first <= other.last && other.first <= one.last && (one.protocol & other.protocol) !== 0;
  return overlap && (one.access === exclusive || other.access === exclusive);
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // No JSON, as below.
  }
  throw new Refused('HCN_E_INVALID_JSON');
}

/** As the service tells of it: `{"Success":false,"Error":"…","ErrorCode":…}`. */
function failure(code: HResultName): Answer {
  return {
    result: HResult[code],
    errorRecord: JSON.stringify({
      Success: false,
      Error: `${resultMeanings[code].meaning}. `,
      ErrorCode: HResult[code],
    }),
  };
}

function faultOf({ name, strings }: Call): NetworkFault | undefined {
  for (const text of strings) {
    // In a filter, which is JSON in JSON, the quotes are escaped.
    const [, fault] = /"fault: ([a-z ]+)\\?"/.exec(text ?? '') ?? [];
    const isAboutDocuments = fault === 'nothing' || fault === 'not json' || fault === 'wrong types';
    if (fault !== undefined && !(isAboutDocuments && name.startsWith('HcnCreate')))
      return fault as NetworkFault;
  }
  return undefined;
}

function spoil(answer: Answer, fault: NetworkFault): Answer {
  switch (fault) {
    case 'unknown code':
      return { ...failure('E_FAIL'), result: 0x8badf00d };
    case 'no record':
      return { result: HResult.HCN_E_INVALID_NETWORK };
    case 'garbage record':
      return { result: HResult.HCN_E_INVALID_NETWORK, errorRecord: '\ud800 no JSON {"' };
    case 'success record':
      return { ...answer, errorRecord: failure('HCN_E_INVALID_POLICY').errorRecord ?? null };
    case 'no handle':
      return { ...answer, target: 0 };
    case 'nothing':
      return { ...answer, document: null };
    case 'not json':
      return { ...answer, document: '\ud800 no JSON \u{1f600} {"' };
    case 'wrong types':
      return { ...answer, document: JSON.stringify({ ID: 5, Policies: 'none', Resources: [7] }) };
    case 'huge':
      return answer.document === undefined
        ? answer
        : { ...answer, document: JSON.stringify({ Name: 'x'.repeat(hugeCharacters) }) };
    default:
      return answer;
  }
}
