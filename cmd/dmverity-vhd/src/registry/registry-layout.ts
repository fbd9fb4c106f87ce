import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { readBody } from '../http-get.ts';
import { type ImageReference, parseImageReference } from './image-reference.ts';
import {
  acceptedTypes,
  type Descriptor,
  type Manifest,
  type Platform,
  parseManifest,
  selectPlatform,
} from './manifest.ts';
import { type Credentials, RegistryClient } from './registry-client.ts';

export interface RegistryLayoutOptions {
  /** Which image of an index. */
  platform: Platform;
  credentials?: Credentials | undefined;
  /** Told of bytes that came. */
  progress: (bytes: number) => void;
  signal: AbortSignal;
}

/** Largest manifest or configuration that is read, in bytes; registries take no larger manifests. */
const longestDocument = 4 << 20;
/** Largest layer that is taken, in bytes. */
const largestBlob = 128 * 2 ** 30;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/**
 * An image of a registry as an OCI layout in a directory: the documents at once, each layer when it is asked for.
 * Everything that is in the directory is what its digest says.
 */
export class RegistryLayout {
  /** The lowest first. */
  readonly layers: readonly Descriptor[];
  readonly #directory: string;
  readonly #client: RegistryClient;
  readonly #options: RegistryLayoutOptions;

  private constructor(
    directory: string,
    client: RegistryClient,
    layers: readonly Descriptor[],
    options: RegistryLayoutOptions,
  ) {
    this.#directory = directory;
    this.#client = client;
    this.layers = layers;
    this.#options = options;
  }

  /** Gets the documents of `image` into `directory`, which exists and is empty. */
  static async open(
    image: string,
    directory: string,
    options: RegistryLayoutOptions,
  ): Promise<RegistryLayout> {
    const reference = parseImageReference(image);
    const client = new RegistryClient(reference, options);
    const { bytes, manifest } = await findManifest(image, reference, client, options.platform);
    await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true });
    const layout = new RegistryLayout(directory, client, manifest.layers, options);
    const digest = digestOf(bytes);
    await writeFile(layout.blobPath(digest), bytes);
    await layout.fetch(manifest.config, longestDocument);
    await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const index = {
      schemaVersion: 2,
      manifests: [{ mediaType: acceptedTypes[0], digest, size: bytes.length }],
    };
    await writeFile(join(directory, 'index.json'), JSON.stringify(index));
    return layout;
  }

  blobPath(digest: string): string {
    return join(this.#directory, 'blobs', ...digest.split(':'));
  }

  /** Gets a blob. Throws when it is not what its descriptor says. */
  async fetch({ digest, size }: Descriptor, limit = largestBlob): Promise<void> {
    checkDigest(digest);
    if (size > limit)
      throw new Error(`Cannot use blob ${digest}: it has ${size} bytes, allowed are ${limit}`);
    const path = this.blobPath(digest);
    const unfinished = `${path}.unfinished`;
    const { progress, signal } = this.#options;
    await this.#client.get(`blobs/${digest}`, ['*/*'], (response) =>
      pipeline(checked(response, digest, size, progress), createWriteStream(unfinished), { signal }),
    );
    await rename(unfinished, path);
  }
}

/** The manifest for a platform, through an index if there is one. */
async function findManifest(
  image: string,
  { tagOrDigest }: ImageReference,
  client: RegistryClient,
  platform: Platform,
): Promise<{ bytes: Uint8Array; manifest: Manifest }> {
  let named = tagOrDigest;
  // An index that leads to another is not for images of one platform.
  for (let depth = 0; depth < 2; depth++) {
    const { bytes, type } = await getManifest(client, named);
    const document = parseManifest(bytes, type);
    if ('layers' in document) return { bytes, manifest: document };
    named = selectPlatform(document, platform, image).digest;
    checkDigest(named);
  }
  throw new Error(`Cannot use image "${image}": its index leads to another index`);
}

async function getManifest(
  client: RegistryClient,
  tagOrDigest: string,
): Promise<{ bytes: Uint8Array; type: string }> {
  return client.get(`manifests/${tagOrDigest}`, acceptedTypes, async (response) => {
    const bytes = await readBody(response, longestDocument);
    const { 'docker-content-digest': told, 'content-type': type = '' } = response.headers;
    const expected = digestPattern.test(tagOrDigest) ? tagOrDigest : told;
    if (typeof expected === 'string' && digestPattern.test(expected)) expectDigest(digestOf(bytes), expected);
    return { bytes, type };
  });
}

/** Passes a blob on, and fails as soon as it cannot be the one that is wanted. */
async function* checked(
  response: IncomingMessage,
  digest: string,
  size: number,
  progress: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let received = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    received += chunk.length;
    if (received > size) throw new Error(`it has more than the ${size} bytes that its descriptor says`);
    hash.update(chunk);
    progress(chunk.length);
    yield chunk;
  }
  if (received < size) throw new Error(`it ends after ${received} of ${size} bytes`);
  expectDigest(`sha256:${hash.digest('hex')}`, digest);
}

function checkDigest(digest: string): void {
  if (!digestPattern.test(digest))
    throw new Error(`Cannot use "${digest}" as a digest: only SHA-256 is known`);
}

function expectDigest(actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`its digest is ${actual}, expected was ${expected}`);
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
