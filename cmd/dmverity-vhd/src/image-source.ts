import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ProgressBar } from '@hcsshim/program';
import { isHcsError } from '@hcsshim/schema';
import { type Image, type OpenImageOptions, openImage } from '@hcsshim/storage';
import { saveDockerImage } from './docker-daemon.ts';
import { archiveNames, parseImageReference } from './registry/image-reference.ts';
import type { Platform } from './registry/manifest.ts';
import type { Credentials } from './registry/registry-client.ts';
import { RegistryLayout } from './registry/registry-layout.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** Which image, and where it is. */
export interface ImageRequest {
  /** Its name; of a file that holds one image it may be any. */
  name: string;
  /** A registry, the Docker daemon, or a file or directory: its path. */
  from: 'registry' | 'docker' | { path: string };
  platform: Platform;
  credentials?: Credentials | undefined;
  /** Told what is done, for a user who wants to know. */
  note: (line: string) => void;
  signal: AbortSignal;
}

interface SourceLayer {
  /** `sha256:` and the digest of the uncompressed archive. */
  diffId: string;
  /** The layer's archive, uncompressed. Fails at its end when it is not what its digests say. */
  open(): AsyncIterable<Uint8Array>;
}

/** An image whose layers can be read. Disposing removes what was put aside for it. */
export interface ImageSource extends AsyncDisposable {
  /** The lowest first. */
  layers: SourceLayer[];
}

const whereabouts = { registry: 'its registry', docker: 'the Docker daemon' };

/** Opens an image, wherever it is. Throws an error that names the image and what is wrong with it. */
export async function openImageSource(request: ImageRequest): Promise<ImageSource> {
  const { from, note, name } = request;
  note(`Opening image "${name}" from ${typeof from === 'string' ? whereabouts[from] : `"${from.path}"`}`);
  if (from === 'registry') return openRegistryImage(request);
  if (from === 'docker') return openDockerImage(request);
  const image = await openNamed(from.path, from.path, request);
  return { layers: layersOf(image), [Symbol.asyncDispose]: () => image[Symbol.asyncDispose]() };
}

async function openDockerImage(request: ImageRequest): Promise<ImageSource> {
  await using undo = new AsyncDisposableStack();
  const { path: directory } = undo.use(await TemporaryDirectory.create());
  const archive = join(directory, 'image.tar');
  {
    using bar = new ProgressBar(request.name, undefined);
    const { signal } = request;
    const progress = (bytes: number): void => bar.add(bytes);
    await saveDockerImage(request.name, archive, { environment: process.env, progress, signal });
  }
  const image = undo.use(await openNamed(archive, request.name, request));
  const owned = undo.move();
  return { layers: layersOf(image), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function openRegistryImage(request: ImageRequest): Promise<ImageSource> {
  const { name, platform, credentials, signal } = request;
  await using undo = new AsyncDisposableStack();
  const { path: directory } = undo.use(await TemporaryDirectory.create());
  let bar: ProgressBar | undefined;
  const progress = (bytes: number): void => bar?.add(bytes);
  const layout = await RegistryLayout.open(name, directory, { platform, credentials, progress, signal });
  const image = undo.use(await openAs(name, directory, { signal }));
  const layers = layersOf(image).map((layer, index): SourceLayer => {
    const blob = layout.layers[index]!;
    return {
      diffId: layer.diffId,
      async *open() {
        {
          using drawn = new ProgressBar(`layer ${index}, from the registry`, blob.size);
          bar = drawn;
          await layout.fetch(blob);
        }
        yield* layer.open();
        await rm(layout.blobPath(blob.digest), { force: true });
      },
    };
  });
  const owned = undo.move();
  return { layers, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The only image of a file, or the one of several that has the name. */
async function openNamed(path: string, subject: string, request: ImageRequest): Promise<Image> {
  const { platform, signal, name } = request;
  const options = { architecture: platform.architecture, signal };
  const opened = await openAs(subject, path, options, 'E_INVALIDARG');
  if (opened) return opened;
  const names = [name, ...archiveNames(parseImageReference(name))];
  for (const reference of names) {
    const found = await openAs(subject, path, { ...options, reference }, 'ERROR_NOT_FOUND');
    if (found) return found;
  }
  throw new Error(`Cannot open image "${subject}": it holds several images, and none is "${name}"`);
}

async function openAs(subject: string, path: string, options: OpenImageOptions): Promise<Image>;
async function openAs(
  subject: string,
  path: string,
  options: OpenImageOptions,
  noneWhen: 'E_INVALIDARG' | 'ERROR_NOT_FOUND',
): Promise<Image | undefined>;
/** Errors name the image as the user did, not a file that it was put in. */
async function openAs(
  subject: string,
  path: string,
  options: OpenImageOptions,
  noneWhen?: 'E_INVALIDARG' | 'ERROR_NOT_FOUND',
): Promise<Image | undefined> {
  try {
    return await openImage(path, options);
  } catch (cause) {
    if (!isHcsError(cause)) throw cause;
    if (cause.code === noneWhen) return undefined;
    throw new Error(`Cannot open image "${subject}": ${cause.problem}`, { cause });
  }
}

function layersOf(image: Image): SourceLayer[] {
  return image.layers.toReversed().map(({ diffId, open }) => ({
    diffId,
    async *open() {
      yield* await open();
    },
  }));
}
