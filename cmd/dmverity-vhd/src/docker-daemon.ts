import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { systemProblem } from '@hcsshim/program';
import { parseDocument, read } from '@hcsshim/schema';
import { type HttpGetOptions, httpGet, readBody } from './http-get.ts';

export interface SaveImageOptions {
  /** `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say where the daemon is. */
  environment: NodeJS.ProcessEnv;
  /** Told of bytes that came. */
  progress: (bytes: number) => void;
  signal: AbortSignal;
}

const defaultHost = 'unix:///var/run/docker.sock';
/** In milliseconds. A daemon puts a large image together before it sends the first byte. */
const idle = 10 * 60_000;
const longestComplaint = 64 << 10;

const complaint = read.record<{ message: string }>({ message: read.withDefault(read.text, '') });

/** Writes what `docker save` would to a file (Engine API, "Export an image"). */
export async function saveDockerImage(
  image: string,
  path: string,
  { environment, progress, signal }: SaveImageOptions,
): Promise<void> {
  const host = environment.DOCKER_HOST || defaultHost;
  try {
    const { origin, ...connection } = await connectionTo(host, environment);
    const name = image.split('/').map(encodeURIComponent).join('/');
    const response = await httpGet(new URL(`${origin}/images/${name}/get`), { ...connection, idle, signal });
    if (response.statusCode !== 200) throw new Error(await complaintOf(response));
    await pipeline(counted(response, progress), createWriteStream(path), { signal });
  } catch (cause) {
    signal.throwIfAborted();
    const problem = systemProblem(cause);
    throw new Error(`Cannot get image "${image}" from the Docker daemon at "${host}": ${problem}`, { cause });
  }
}

async function connectionTo(
  host: string,
  environment: NodeJS.ProcessEnv,
): Promise<{ origin: string } & Pick<HttpGetOptions, 'socketPath' | 'tls'>> {
  const [, scheme, rest = ''] = /^(unix|tcp|http|https):\/\/(.+)$/.exec(host) ?? [];
  if (scheme === undefined)
    throw new Error('DOCKER_HOST must begin with unix://, tcp://, http:// or https://');
  // The name of the host is for the header alone.
  if (scheme === 'unix') return { origin: 'http://docker', socketPath: rest };
  if (!environment.DOCKER_TLS_VERIFY && scheme !== 'https') return { origin: `http://${rest}` };
  const keys = environment.DOCKER_CERT_PATH || join(homedir(), '.docker');
  const [ca, cert, key] = await Promise.all(
    (['ca.pem', 'cert.pem', 'key.pem'] as const).map((file) => readFile(join(keys, file))),
  );
  return { origin: `https://${rest}`, tls: { ca: ca!, cert: cert!, key: key! } };
}

async function* counted(
  response: IncomingMessage,
  progress: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    progress(chunk.length);
    yield chunk;
  }
}

async function complaintOf(response: IncomingMessage): Promise<string> {
  const answer = `the answer is ${response.statusCode}`;
  try {
    const body = String(await readBody(response, longestComplaint));
    const { message } = parseDocument('the answer', body, complaint);
    return `${answer}, ${message.slice(0, 200)}`;
  } catch {
    return answer;
  }
}
