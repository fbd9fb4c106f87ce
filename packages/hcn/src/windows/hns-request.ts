import { HcsError, type HResultName } from '@hcsshim/schema';
import type { CallOptions } from '../network-service.ts';
import { type AnswerShape, badAnswer, parseAnswer, readShape } from './answer.ts';
import type { HnsCall, HnsMethod } from './hns-call.ts';
import { networkCall } from './network-call.ts';
import { serviceFailure } from './network-error.ts';

export interface HnsRequestOptions extends CallOptions {
  /** To follow "Cannot". */
  action: string;
  method: HnsMethod;
  path: string;
  /** Sent as JSON. */
  body?: unknown;
}

/** Gives the output of the answer, undefined where it has none. */
export type HnsRequest = (request: HnsRequestOptions) => Promise<unknown>;

/** What the service says of a missing object, in a request that has no code. */
const notFoundWords = /^element not found\b/i;

/** Makes a request and opens the answer's envelope: `{"Success":…,"Error":…,"ErrorCode":…,"Output":…}`. */
export async function sendHnsRequest(
  hnsCall: HnsCall,
  { action, method, path, body, signal }: HnsRequestOptions,
): Promise<unknown> {
  return networkCall({ action, signal }, async () => {
    const text = await hnsCall(method, path, body === undefined ? '' : JSON.stringify(body));
    const envelope = readShape(action, parseAnswer(action, text), { Error: 'string', ErrorCode: 'number' });
    if (typeof envelope.Success !== 'boolean') throw badAnswer(action, 'does not say whether it succeeded');
    if (envelope.Success) return envelope.Output ?? undefined;
    const words = (envelope.Error as string | undefined)?.trim().replace(/\.$/, '') || undefined;
    const code = envelope.ErrorCode as number | undefined;
    if (!code && notFoundWords.test(words ?? '')) throw notFound(action, 'ERROR_NOT_FOUND', words ?? '');
    throw serviceFailure(`Cannot ${action}`, code || undefined, words);
  });
}

export interface HnsKind<Document> {
  noun: string;
  /** Ends with a slash. */
  path: `/${string}/`;
  shape: AnswerShape;
  notFound: HResultName;
  checkDocument(document: Document): void;
}

/** The objects of one kind. They are addressed by id. */
export class HnsObjects<Document extends { ID?: string; Name?: string } | { ID?: string }> {
  protected readonly request: HnsRequest;
  readonly #kind: HnsKind<Document>;

  constructor(request: HnsRequest, kind: HnsKind<Document>) {
    this.request = request;
    this.#kind = kind;
  }

  async list(options: CallOptions = {}): Promise<Document[]> {
    const { noun, path } = this.#kind;
    const action = `list each ${noun}`;
    const output = await this.request({ action, method: 'GET', path, ...options });
    if (output === undefined) return [];
    if (!Array.isArray(output)) throw badAnswer(action, 'is no list');
    return output.map((one) => this.#read(action, one));
  }

  get(id: string, options: CallOptions = {}): Promise<Document> {
    return this.#ask('open', 'GET', id, options);
  }

  /** The first with this name. */
  async getByName(name: string, options: CallOptions = {}): Promise<Document> {
    const { noun, notFound: code } = this.#kind;
    const all = (await this.list(options)) as (Document & { Name?: string })[];
    const found = all.find(({ Name }) => Name === name);
    if (found !== undefined) return found;
    throw notFound(`find ${noun} "${name}"`, code, `no ${noun} has this name`);
  }

  async create(document: Document, options: CallOptions = {}): Promise<Document> {
    const { noun, path } = this.#kind;
    this.#kind.checkDocument(document);
    const action = document.ID === undefined ? `create an ${noun}` : `create ${noun} "${document.ID}"`;
    const output = await this.request({ action, method: 'POST', path, body: document, ...options });
    return this.#read(action, output);
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const { noun } = this.#kind;
    const path = this.pathTo(id);
    await this.request({ action: `delete ${noun} "${id}"`, method: 'DELETE', path, ...options });
  }

  /** A request about one object whose answer is its document. */
  protected async changed(verb: string, id: string, body: unknown, options: CallOptions): Promise<Document> {
    const action = `${verb} ${this.#kind.noun} "${id}"`;
    const output = await this.request({ action, method: 'POST', path: this.pathTo(id), body, ...options });
    return this.#read(action, output);
  }

  /** Throws E_INVALIDARG for what is no id, so that no other path can be asked for. */
  protected pathTo(id: string): string {
    return `${this.#kind.path}${pathSegment(id, this.#kind.noun)}`;
  }

  async #ask(verb: string, method: HnsMethod, id: string, options: CallOptions): Promise<Document> {
    const action = `${verb} ${this.#kind.noun} "${id}"`;
    return this.#read(action, await this.request({ action, method, path: this.pathTo(id), ...options }));
  }

  #read(action: string, value: unknown): Document {
    return readShape(action, value, this.#kind.shape) as Document;
  }
}

/** An id as part of a path. */
export function pathSegment(id: string, noun: string): string {
  if (/^[\w{}-]{1,64}$/.test(id)) return id;
  throw new HcsError({
    action: `Cannot use ${JSON.stringify(id.slice(0, 64))} as the id of an ${noun}`,
    problem: 'write a GUID',
    code: 'E_INVALIDARG',
  });
}

function notFound(action: string, code: HResultName, problem: string): HcsError {
  return new HcsError({ action: `Cannot ${action}`, problem, code });
}
