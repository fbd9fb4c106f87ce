import { randomUUID } from 'node:crypto';
import type { CallOptions, ModifiableObjects, RuleBreach, Stored } from '@hcsshim/hcn';
import { assertKeepsRule } from '@hcsshim/hcn';
import { withUndo } from '@hcsshim/hcs';
import type { HResultName } from '@hcsshim/schema';
import { checkDocument, type HostComputeQuery } from '@hcsshim/schema/hcn';
import type { LoggedEvent } from './event-log.ts';
import type { NetworkRecords, RecordKind } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { filterOf } from './query-filter.ts';
import { networkError, Refusal } from './refusal.ts';

/** How the objects of one kind are made, changed and unmade. All of it runs under the lock, synchronously. */
export interface ObjectKind<Kind extends RecordKind, Document, Request> {
  kind: Kind;
  /** In messages. */
  noun: string;
  nouns: string;
  notFound: HResultName;
  alreadyExists: HResultName;
  checkDocument(document: Document): void;
  /** What the schema cannot say. @default nothing */
  faultOf?: (document: Document) => RuleBreach | undefined;
  checkRequest(request: Request): void;
  /** Told before and after. @default nothing */
  events?: { creates?: LoggedEvent; created: LoggedEvent; deletes?: LoggedEvent; deleted: LoggedEvent };
  /** Makes what the kernel has of it, and the record. */
  create(document: Stored<Document>, undo: DisposableStack): NetworkRecords[Kind];
  modify(record: NetworkRecords[Kind], request: Request, undo: DisposableStack): NetworkRecords[Kind];
  /** Removes what the kernel has of it. Records of others that name it let it go. */
  delete(record: NetworkRecords[Kind]): void;
  /** The documents as they are told: with what other records say. @default as they are kept */
  tell?: (records: readonly NetworkRecords[Kind][]) => Stored<Document>[];
}

/** How long a call may take, most of which is waiting for other processes. As on Windows. In milliseconds. */
const callTimeout = 240_000;
const schemaVersion = { Major: 2, Minor: 0 };
const guidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export class StoredObjects<Kind extends RecordKind, Document extends { ID?: string }, Request>
  implements ModifiableObjects<Document, Request>
{
  readonly #state: NetworkState;
  readonly #kind: ObjectKind<Kind, Document, Request>;

  constructor(state: NetworkState, kind: ObjectKind<Kind, Document, Request>) {
    this.#state = state;
    this.#kind = kind;
  }

  create(document: Document, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    const { kind, noun, events } = this.#kind;
    const given = document.ID ?? randomUUID();
    const action = `create ${noun} "${given}"`;
    return networkCall(action, signal, async (deadline) => {
      this.#kind.checkDocument(document);
      assertKeepsRule(`Cannot ${action}`, this.#kind.faultOf?.(document));
      // What is kept is JSON, and nobody changes it from outside.
      const copy = JSON.parse(JSON.stringify(document)) as Document;
      const id = given.toLowerCase();
      const created = await this.#state.change({ kind, id, signal: deadline }, (undo) => {
        if (this.#state.read(kind, id) !== undefined)
          throw new Refusal(this.#kind.alreadyExists, `a ${noun} has this id`);
        if (events?.creates) this.#state.events.append(events.creates, id);
        const record = this.#kind.create({ SchemaVersion: schemaVersion, ...copy, ID: id }, undo);
        this.#state.write(kind, record, undo);
        if (events) this.#state.events.append(events.created, id);
        return record;
      });
      if (deadline.aborted) {
        await this.#remove(id, new AbortController().signal);
        throw deadline.reason;
      }
      return this.#tell(created);
    });
  }

  open(id: string, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    return networkCall(`open ${this.#kind.noun} "${id}"`, signal, async (deadline) => {
      const name = guid(id);
      await this.#state.look(deadline);
      return this.#tell(this.#find(name));
    });
  }

  enumerate(query: HostComputeQuery = {}, { signal }: CallOptions = {}): Promise<Stored<Document>[]> {
    return networkCall(`enumerate ${this.#kind.nouns}`, signal, async (deadline) => {
      const passes = filterOf(checkDocument('HostComputeQuery', query));
      await this.#state.look(deadline);
      return this.#tellAll(this.#state.list(this.#kind.kind)).filter(passes);
    });
  }

  modify(id: string, request: Request, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    const { kind, noun } = this.#kind;
    return networkCall(`modify ${noun} "${id}"`, signal, async (deadline) => {
      const name = guid(id);
      this.#kind.checkRequest(request);
      const copy = JSON.parse(JSON.stringify(request)) as Request;
      const modified = await this.#state.change({ kind, id: name, signal: deadline }, (undo) => {
        const record = this.#kind.modify(this.#find(name), copy, undo);
        this.#state.write(kind, record, undo);
        return record;
      });
      return this.#tell(modified);
    });
  }

  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return networkCall(`delete ${this.#kind.noun} "${id}"`, signal, (deadline) =>
      this.#remove(guid(id), deadline),
    );
  }

  #remove(id: string, signal: AbortSignal): Promise<void> {
    const { kind, events } = this.#kind;
    return this.#state.change({ kind, id, signal, recoverOnFailure: true }, () => {
      const record = this.#find(id);
      if (events?.deletes) this.#state.events.append(events.deletes, id);
      this.#kind.delete(record);
      this.#state.remove(kind, id);
      if (events) this.#state.events.append(events.deleted, id);
    });
  }

  #find(id: string): NetworkRecords[Kind] {
    const record = this.#state.read(this.#kind.kind, id);
    if (record !== undefined) return record;
    throw new Refusal(this.#kind.notFound, `no ${this.#kind.noun} has this id`);
  }

  #tell(record: NetworkRecords[Kind]): Stored<Document> {
    return this.#tellAll([record])[0] as Stored<Document>;
  }

  #tellAll(records: readonly NetworkRecords[Kind][]): Stored<Document>[] {
    if (this.#kind.tell !== undefined) return this.#kind.tell(records);
    return records.map(({ document }) => document as unknown as Stored<Document>);
  }
}

/** A GUID as names are made of it. Throws E_INVALIDARG for what is none. */
function guid(id: string): string {
  const name = id.toLowerCase();
  if (guidPattern.test(name)) return name;
  throw new Refusal('E_INVALIDARG', 'an id is a GUID such as "01234567-89ab-cdef-0123-456789abcdef"');
}

/** Whether a text in a document can be an object's id. */
export function isGuid(text: string): boolean {
  return guidPattern.test(text.toLowerCase());
}

/**
 * A call with one deadline, whose failure is an HcsError, or the signal's reason.
 *
 * @param action What is being done and to what, to follow "Cannot".
 */
export async function networkCall<T>(
  action: string,
  signal: AbortSignal | undefined,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await withUndo({ signal, timeout: callTimeout, action: `Cannot ${action}` }, work);
  } catch (error) {
    if (signal?.aborted && error === signal.reason) throw error;
    throw networkError(`Cannot ${action}`, error);
  }
}
