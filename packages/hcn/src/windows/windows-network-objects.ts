import { randomUUID } from 'node:crypto';
import { type HcsError, isNotFound } from '@hcsshim/schema';
import { checkDocument, type HostComputeQuery } from '@hcsshim/schema/hcn';
import { bind, computenetwork, type Handle, type HandleName, OwnedHandle } from '@hcsshim/windows';
import { assertKeepsRule } from '../document-rules.ts';
import type { CallOptions, ModifiableObjects, Stored } from '../network-service.ts';
import { schemaVersion } from '../queries.ts';
import { readDocument, readIds } from './answer.ts';
import { networkCall } from './network-call.ts';
import { networkError, readErrorRecord, serviceFailure } from './network-error.ts';
import { networkKind, type ObjectKind } from './object-kinds.ts';

const plainQuery: HostComputeQuery = { SchemaVersion: schemaVersion, Flags: 0 };

type Results = Record<string, unknown>;
type ObjectHandle = OwnedHandle<HandleName>;

/**
 * The objects of one kind in the Host Compute Network of Windows. Each call opens the handles that it needs, and
 * closes them before it ends.
 */
export class WindowsNetworkObjects<Document extends { ID?: string }, Request>
  implements ModifiableObjects<Document, Request>
{
  readonly #kind: ObjectKind<Document, Request>;

  constructor(kind: ObjectKind<Document, Request>) {
    this.#kind = kind;
  }

  async create(document: Document, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    const { noun, faultOf } = this.#kind;
    const id = document.ID ?? randomUUID();
    const action = `create ${noun} "${id}"`;
    return networkCall({ action, signal }, async (deadline) => {
      this.#kind.checkDocument(document);
      assertKeepsRule(`Cannot ${action}`, faultOf?.(document));
      const settings = JSON.stringify({ SchemaVersion: schemaVersion, ...document });
      await using undo = new AsyncDisposableStack();
      const { handle, failure } = await this.#createHandle(action, document, id, settings, deadline);
      undo.defer(() => this.#discard(id));
      undo.use(handle);
      if (failure !== undefined) throw failure;
      deadline.throwIfAborted();
      const created = await this.#query(action, handle, JSON.stringify(plainQuery));
      deadline.throwIfAborted();
      undo.move();
      await handle.close();
      return created;
    });
  }

  async open(id: string, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    const action = `open ${this.#kind.noun} "${id}"`;
    return networkCall({ action, signal }, (deadline) =>
      this.#read(action, id, JSON.stringify(plainQuery), deadline),
    );
  }

  async enumerate(
    query: HostComputeQuery = plainQuery,
    { signal }: CallOptions = {},
  ): Promise<Stored<Document>[]> {
    const { procedure, nouns, list } = this.#kind;
    const action = `enumerate ${nouns}`;
    return networkCall({ action, signal }, async (deadline) => {
      const text = JSON.stringify(checkDocument('HostComputeQuery', query));
      const results = await call(action, `HcnEnumerate${procedure}s`, { query: text });
      const ids = readIds(action, results[list] as string | null);
      deadline.throwIfAborted();
      const found = await Promise.all(ids.map((id) => this.#readIfThere(action, id, text, deadline)));
      return found.filter((document) => document !== undefined);
    });
  }

  async modify(id: string, request: Request, { signal }: CallOptions = {}): Promise<Stored<Document>> {
    const { noun, procedure, handle: parameter } = this.#kind;
    const action = `modify ${noun} "${id}"`;
    return networkCall({ action, signal }, async (deadline) => {
      this.#kind.checkRequest(request);
      const settings = JSON.stringify(request);
      await using handle = await openHandle(this.#kind, action, id);
      deadline.throwIfAborted();
      await handle.use((value) => call(action, `HcnModify${procedure}`, { [parameter]: value, settings }));
      deadline.throwIfAborted();
      return await this.#query(action, handle, JSON.stringify(plainQuery));
    });
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const { noun, procedure } = this.#kind;
    const action = `delete ${noun} "${id}"`;
    await networkCall({ action, signal }, () => call(action, `HcnDelete${procedure}`, { id }));
  }

  async #createHandle(
    action: string,
    document: Document,
    id: string,
    settings: string,
    deadline: AbortSignal,
  ): Promise<GivenHandle> {
    const { procedure, networkOf } = this.#kind;
    const inputs = { id, settings };
    if (networkOf === undefined)
      return takeHandle(this.#kind, action, await callRaw(`HcnCreate${procedure}`, inputs));
    await using network = await openHandle(networkKind, action, networkOf(document) ?? '');
    deadline.throwIfAborted();
    const results = await network.use((value) =>
      callRaw(`HcnCreate${procedure}`, { ...inputs, network: value }),
    );
    return takeHandle(this.#kind, action, results);
  }

  async #read(action: string, id: string, query: string, deadline: AbortSignal): Promise<Stored<Document>> {
    await using handle = await openHandle(this.#kind, action, id);
    deadline.throwIfAborted();
    return await this.#query(action, handle, query);
  }

  async #readIfThere(
    action: string,
    id: string,
    query: string,
    deadline: AbortSignal,
  ): Promise<Stored<Document> | undefined> {
    try {
      return await this.#read(action, id, query, deadline);
    } catch (error) {
      if (isNotFound(networkError(`Cannot ${action}`, error))) return undefined;
      throw error;
    }
  }

  async #query(action: string, handle: ObjectHandle, query: string): Promise<Stored<Document>> {
    const { procedure, handle: parameter, shape, defaults } = this.#kind;
    const { properties } = await handle.use((value) =>
      call(action, `HcnQuery${procedure}Properties`, { [parameter]: value, query }),
    );
    return { ...defaults, ...readDocument<Document>(action, properties as string | null, shape) };
  }

  /** Deletes what nobody wants any more. Never rejects: there is somebody who is to be told of something else. */
  async #discard(id: string): Promise<void> {
    const { noun, procedure } = this.#kind;
    await call(`delete ${noun} "${id}"`, `HcnDelete${procedure}`, { id }).catch(() => {});
  }
}

interface GivenHandle {
  handle: ObjectHandle;
  /** What the error record tells of, although there is a handle. */
  failure: HcsError | undefined;
}

async function openHandle<Document, Request>(
  kind: ObjectKind<Document, Request>,
  action: string,
  id: string,
): Promise<ObjectHandle> {
  const results = await callRaw(`HcnOpen${kind.procedure}`, { id });
  const { handle, failure } = takeHandle(kind, action, results);
  if (failure === undefined) return handle;
  await handle.close();
  throw failure;
}

/** Whatever else came with it, a handle has an owner from here on. */
function takeHandle<Document, Request>(
  { procedure, handleName, handle: parameter }: ObjectKind<Document, Request>,
  action: string,
  results: Results,
): GivenHandle {
  const handle = new OwnedHandle(handleName, results[parameter] as Handle<HandleName>, async (value) => {
    await callRaw(`HcnClose${procedure}`, { [parameter]: value });
  });
  return { handle, failure: failureIn(action, results) };
}

async function call(action: string, name: ProcedureName, inputs: Record<string, unknown>): Promise<Results> {
  const results = await callRaw(name, inputs);
  const failure = failureIn(action, results);
  if (failure !== undefined) throw failure;
  return results;
}

type ProcedureName = keyof typeof computenetwork.procedures;

/** One call into the DLL. The names of parameters come from the table of kinds; a wrong one is a TypeError. */
async function callRaw(name: ProcedureName, inputs: Record<string, unknown>): Promise<Results> {
  const procedure = bind(computenetwork)[name] as (inputs: Record<string, unknown>) => unknown;
  return ((await procedure(inputs)) ?? {}) as Results;
}

/** As in upstream's hcn, an error record tells of a failure also when the code tells of success. */
function failureIn(action: string, { errorRecord }: Results): HcsError | undefined {
  if (typeof errorRecord !== 'string' || errorRecord === '') return undefined;
  const { success, code, words } = readErrorRecord(errorRecord);
  return success === true ? undefined : serviceFailure(`Cannot ${action}`, code, words);
}
