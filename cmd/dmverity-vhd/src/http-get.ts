import { type IncomingMessage, get as plainGet } from 'node:http';
import { get as tlsGet } from 'node:https';

export interface HttpGetOptions {
  headers?: Record<string, string>;
  /** How long nothing may come, before the answer and within it, in milliseconds. */
  idle: number;
  /** A Unix socket to go through. */
  socketPath?: string | undefined;
  /** Keys to show who we are, and whom we believe, as PEM. */
  tls?: { ca: Buffer; cert: Buffer; key: Buffer } | undefined;
  signal: AbortSignal;
}

/** Asks for a document. Resolves when the head of the answer is there; its body fails when nothing comes any more. */
export function httpGet(url: URL, options: HttpGetOptions): Promise<IncomingMessage> {
  const { headers = {}, idle, socketPath, tls, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  let answer: IncomingMessage | undefined;
  const request = (url.protocol === 'https:' ? tlsGet : plainGet)(
    url,
    { headers, signal, timeout: idle, ...tls, ...(socketPath !== undefined && { socketPath }) },
    (response) => {
      answer = response;
      resolve(response);
    },
  );
  request.on('timeout', () => {
    const problem = new Error(`nothing came for ${idle / 1000} seconds`);
    (answer ?? request).destroy(Object.assign(problem, { code: 'ETIMEDOUT' }));
  });
  request.on('error', reject);
  return promise;
}

/** All of a body. Throws when it has more than `limit` bytes. */
export async function readBody(response: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > limit) throw new Error(`the answer has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
