import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemProblem } from '@hcsshim/program';
import { parseDocument, read } from '@hcsshim/schema';
import { httpGet, readBody } from '../http-get.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import { type ImageReference, isLoopback, registryOrigin } from './image-reference.ts';

export interface Credentials {
  username: string;
  password: string;
}

export interface RegistryClientOptions {
  credentials?: Credentials | undefined;
  signal: AbortSignal;
}

/** How long a registry may be silent, in milliseconds. */
const idle = 60_000;
const mostRedirects = 5;
/** Times that a request is made when the network or the registry fails, and the first wait in between, in milliseconds. */
const attempts = 3;
const firstDelay = 500;
/** Failures of the network that may not come again. */
const passingCodes = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'];
const longestToken = 1 << 20;
const longestComplaint = 64 << 10;

const tokenAnswer = read.record<{ token: string; access_token: string }>({
  token: read.withDefault(read.text, ''),
  access_token: read.withDefault(read.text, ''),
});

const complaint = read.record<{ errors: { code: string; message: string }[] }>({
  errors: read.listOf(
    read.record<{ code: string; message: string }>({
      code: read.withDefault(read.text, ''),
      message: read.withDefault(read.text, ''),
    }),
  ),
});

/** A failure of the registry that may not come again. */
class PassingFailure extends Error {}

/**
 * Reads one repository of a registry (OCI distribution specification 1.1, "Pull"). Redirects are followed, but never
 * from TLS to none, and credentials go to no other host.
 */
export class RegistryClient {
  readonly #reference: ImageReference;
  readonly #origin: string;
  readonly #credentials: Credentials | undefined;
  readonly #signal: AbortSignal;
  /** The `Authorization` that the registry took last. */
  #authorization: string | undefined;

  constructor(reference: ImageReference, { credentials, signal }: RegistryClientOptions) {
    this.#reference = reference;
    this.#origin = registryOrigin(reference);
    this.#credentials = credentials;
    this.#signal = signal;
  }

  /**
   * Hands the body of `manifests/…` or `blobs/…` in the repository to `consume`, from the start again when the transfer
   * fails on the way. Throws an error that says what the registry said.
   */
  async get<T>(
    path: string,
    accept: readonly string[],
    consume: (response: IncomingMessage) => Promise<T>,
  ): Promise<T> {
    const { registry, repository } = this.#reference;
    const url = new URL(`/v2/${repository}/${path}`, this.#origin);
    for (let attempt = 1; ; attempt++) {
      try {
        return await consume(await this.#request(url, accept));
      } catch (cause) {
        this.#signal.throwIfAborted();
        const { code = '' } = cause as NodeJS.ErrnoException;
        const isPassing = cause instanceof PassingFailure || passingCodes.includes(code);
        if (!isPassing || attempt === attempts) {
          const problem = systemProblem(cause);
          throw new Error(`Cannot get ${path} of "${repository}" from "${registry}": ${problem}`, { cause });
        }
        await sleep(firstDelay * 2 ** (attempt - 1), undefined, { signal: this.#signal });
      }
    }
  }

  async #request(url: URL, accept: readonly string[]): Promise<IncomingMessage> {
    let response = await this.#follow(url, accept);
    if (response.statusCode === 401) {
      await drain(response);
      const challenge = parseChallenge(response.headers['www-authenticate'] ?? '');
      this.#authorization = challenge && (await this.#authorize(challenge));
      if (this.#authorization !== undefined) response = await this.#follow(url, accept);
    }
    if (response.statusCode === 200) return response;
    throw await refusal(response, this.#credentials !== undefined);
  }

  async #follow(start: URL, accept: readonly string[]): Promise<IncomingMessage> {
    let url = start;
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      const response = await httpGet(url, {
        headers: {
          accept: accept.join(', '),
          'accept-encoding': 'identity',
          ...(this.#authorization !== undefined &&
            url.origin === this.#origin && { authorization: this.#authorization }),
        },
        idle,
        signal: this.#signal,
      });
      const { statusCode = 0, headers } = response;
      if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) return response;
      await drain(response);
      const next = new URL(headers.location, url);
      if (!isSafe(next) && url.protocol === 'https:') throw new Error('it leads on to a place without TLS');
      url = next;
    }
    throw new Error(`it leads on more than ${mostRedirects} times`);
  }

  async #authorize(challenge: Challenge): Promise<string | undefined> {
    const basic = this.#credentials && basicAuthorization(this.#credentials);
    if (challenge.scheme === 'basic') return basic;
    const { realm, service, scope = `repository:${this.#reference.repository}:pull` } = challenge;
    const url = URL.parse(realm);
    if (!url || !isSafe(url)) throw new Error(`it names "${realm}" for tokens, which is no place with TLS`);
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', scope);
    const response = await httpGet(url, {
      headers: basic === undefined ? {} : { authorization: basic },
      idle,
      signal: this.#signal,
    });
    if (response.statusCode !== 200) throw await refusal(response, this.#credentials !== undefined);
    const answer = String(await readBody(response, longestToken));
    const { token, access_token: other } = parseDocument('the token of the registry', answer, tokenAnswer);
    return `Bearer ${token || other}`;
  }
}

function basicAuthorization({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function isSafe(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

async function refusal(response: IncomingMessage, isKnown: boolean): Promise<Error> {
  const { statusCode = 0 } = response;
  const words = await readBody(response, longestComplaint).then(complaintOf, () => '');
  const answer = `the answer is ${statusCode}${words && `, ${words}`}`;
  if (statusCode === 401) {
    return new Error(`${answer}; ${isKnown ? 'check' : 'give'} --username and --password`);
  }
  return statusCode >= 500 ? new PassingFailure(answer) : new Error(answer);
}

/** So that the connection can serve again. */
async function drain(response: IncomingMessage): Promise<void> {
  await readBody(response, longestComplaint).catch(() => response.destroy());
}

/** The registry's own words, if it has some. */
function complaintOf(body: Uint8Array): string {
  try {
    const { errors } = parseDocument('the complaint', String(body), complaint);
    return errors
      .map(({ code, message }) => message || code)
      .join(', ')
      .slice(0, 200);
  } catch {
    return '';
  }
}
