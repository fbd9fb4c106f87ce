import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { decompress, isCompressed } from '@hcsshim/ext4';
import { HcsError } from '@hcsshim/schema';
import { type Digest, digestOf, verified, wrongDigest } from './digest.ts';
import {
  asDigest,
  type Descriptor,
  type DockerManifest,
  type ImageConfig,
  type ImageDocument,
  parseDockerManifests,
  parseImageDocument,
  parseIndex,
  parseManifest,
} from './image-documents.ts';
import { archiveFiles, directoryFiles, type ImageFiles } from './image-files.ts';

export interface OpenImageOptions {
  /** The name of the image, where there are several in one file: `busybox:latest`. @default the only one */
  reference?: string;
  /** As Go calls it, where there are several. @default that of this machine */
  architecture?: string;
  signal?: AbortSignal | undefined;
}

/** An image on disk. Disposing closes its file. */
export interface Image extends AsyncDisposable {
  config: ImageConfig;
  /** The topmost first. */
  layers: ImageLayer[];
}

export interface ImageLayer {
  /** Digest of the uncompressed archive: the name of what is in the layer. */
  diffId: Digest;
  /** The layer's archive, uncompressed. Fails at its end when it is not what its digests say. */
  open(): Promise<AsyncIterable<Uint8Array>>;
}

/** Largest document of an image that is read, in bytes. */
const longestDocument = 4 << 20;

const goArchitectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', ia32: '386' };

/** Whether a directory is an image in parts, as against a root file system. */
export async function isImageDirectory(path: string): Promise<boolean> {
  const files = directoryFiles(path);
  return (await files.has('oci-layout')) || ((await files.has('manifest.json')) && !(await files.has('bin')));
}

/**
 * Opens an image: a docker archive (`docker save`), or an OCI layout as an archive or a directory; archives also
 * compressed with gzip or zstd. Throws ERROR_FILE_NOT_FOUND, ERROR_INVALID_DATA, HCS_E_INVALID_JSON,
 * ERROR_NOT_SUPPORTED.
 */
export async function openImage(path: string, options: OpenImageOptions = {}): Promise<Image> {
  const files = await openFiles(path, options.signal);
  try {
    const { config, layers } = (await files.has('index.json'))
      ? await readOciLayout(path, files, options)
      : await readDockerArchive(path, files, options);
    return { config, layers, [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

async function openFiles(path: string, signal: AbortSignal | undefined): Promise<ImageFiles> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw new HcsError({
      action: `Cannot open image "${path}"`,
      problem: 'there is no such file or directory',
      code: 'ERROR_FILE_NOT_FOUND',
      cause,
    });
  });
  if (stats.isDirectory()) return directoryFiles(path);
  if (!isCompressed(await firstBytes(path))) return archiveOf(path, path);
  // Its parts are read in no fixed order, so it has to be unpacked first.
  await using undo = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-image-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  const archive = join(directory, 'image.tar');
  const unpacking = pipeline(
    decompress(createReadStream(path)),
    createWriteStream(archive),
    signal ? { signal } : {},
  );
  await unpacking.catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw unreadable(path, cause);
  });
  const files = undo.use(await archiveOf(path, archive));
  const owned = undo.move();
  return { ...files, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What is wrong with an archive says nothing to a user who is not told which image it is. */
async function archiveOf(image: string, archive: string): Promise<ImageFiles> {
  return archiveFiles(archive).catch((cause: unknown) => {
    throw unreadable(image, cause);
  });
}

function unreadable(image: string, cause: unknown): HcsError {
  return new HcsError({
    action: `Cannot open image "${image}"`,
    problem: 'it is no tar archive that can be read',
    code: 'HCS_E_INVALID_LAYER',
    cause,
  });
}

async function firstBytes(path: string): Promise<Uint8Array> {
  await using file = await open(path, 'r');
  const bytes = new Uint8Array(4);
  await file.read(bytes, 0, bytes.length, 0);
  return bytes;
}

type ImageContent = Pick<Image, 'config' | 'layers'>;

async function readOciLayout(
  image: string,
  files: ImageFiles,
  { reference, architecture = goArchitecture() }: OpenImageOptions,
): Promise<ImageContent> {
  let { manifests } = parseIndex(await files.read('index.json', longestDocument));
  if (reference !== undefined) manifests = manifests.filter((entry) => isNamed(entry, reference));
  // An index may point to another, one for all platforms of an image.
  for (let depth = 0; manifests.length === 1 && isIndex(manifests[0] as Descriptor) && depth < 4; depth++) {
    manifests = parseIndex(await readBlob(files, manifests[0] as Descriptor)).manifests;
  }
  if (manifests.length > 1) {
    manifests = manifests.filter(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
    );
  }
  const chosen = only(manifests, image, reference ?? `linux/${architecture}`);
  const manifest = parseManifest(await readBlob(files, chosen));
  const document = parseImageDocument(await readBlob(files, manifest.config));
  const sources = manifest.layers.map((layer) => async (): Promise<AsyncIterable<Uint8Array>> => {
    const digest = asDigest(layer.digest, 'the manifest of the image');
    return verified(await files.open(blobPath(digest)), digest, `layer ${digest}`);
  });
  return content(image, document, sources);
}

async function readDockerArchive(
  image: string,
  files: ImageFiles,
  { reference }: OpenImageOptions,
): Promise<ImageContent> {
  if (!(await files.has('manifest.json'))) {
    throw new HcsError({
      action: `Cannot open image "${image}"`,
      problem:
        'it has neither "index.json" (OCI layout) nor "manifest.json" (docker archive), save it with "docker save"',
      code: 'ERROR_INVALID_DATA',
    });
  }
  let manifests = parseDockerManifests(await files.read('manifest.json', longestDocument));
  if (reference !== undefined) manifests = manifests.filter(({ RepoTags }) => RepoTags.includes(reference));
  const { Config, Layers }: DockerManifest = only(manifests, image, reference ?? 'a single image');
  const bytes = await files.read(Config, longestDocument);
  const named = /([0-9a-f]{64})(?:\.json)?$/.exec(Config)?.[1];
  if (named !== undefined && digestOf(bytes) !== `sha256:${named}`) {
    throw wrongDigest(`the configuration of image "${image}"`, `sha256:${named}`, digestOf(bytes));
  }
  const sources = Layers.map((path) => (): Promise<AsyncIterable<Uint8Array>> => files.open(path));
  return content(image, parseImageDocument(bytes), sources);
}

function content(
  image: string,
  { os, config, rootfs }: ImageDocument,
  sources: (() => Promise<AsyncIterable<Uint8Array>>)[],
): ImageContent {
  if (os !== 'linux') {
    throw new HcsError({
      action: `Cannot open image "${image}"`,
      problem: `it is for ${os}, a Linux image is needed`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  if (rootfs.diff_ids.length !== sources.length) {
    throw new HcsError({
      action: `Cannot open image "${image}"`,
      problem: `it has ${sources.length} layers, its configuration names ${rootfs.diff_ids.length}`,
      code: 'ERROR_INVALID_DATA',
    });
  }
  const layers = sources.map((source, index): ImageLayer => {
    const diffId = asDigest(rootfs.diff_ids[index] ?? '', 'the configuration of the image');
    return {
      diffId,
      open: async () => verified(decompress(await source()), diffId, `layer ${diffId}`),
    };
  });
  return { config, layers: layers.reverse() };
}

async function readBlob(files: ImageFiles, { digest, size }: Descriptor): Promise<Uint8Array> {
  const expected = asDigest(digest, 'a document of the image');
  const bytes = await files.read(blobPath(expected), Math.min(size, longestDocument));
  const actual = digestOf(bytes);
  if (actual !== expected) throw wrongDigest(`blob ${expected}`, expected, actual);
  return bytes;
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function isIndex({ mediaType }: Descriptor): boolean {
  return (
    mediaType === 'application/vnd.oci.image.index.v1+json' ||
    mediaType === 'application/vnd.docker.distribution.manifest.list.v2+json'
  );
}

const nameAnnotations = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];

function isNamed({ annotations = {} }: Descriptor, reference: string): boolean {
  return nameAnnotations.some((key) => annotations[key] === reference);
}

function only<T>(candidates: readonly T[], image: string, wanted: string): T {
  const [first, ...others] = candidates;
  if (first !== undefined && others.length === 0) return first;
  throw new HcsError({
    action: `Cannot open image "${image}"`,
    problem:
      first === undefined
        ? `it does not contain ${wanted}`
        : `${candidates.length} in it match ${wanted}, name one by its reference`,
    code: first === undefined ? 'ERROR_NOT_FOUND' : 'E_INVALIDARG',
  });
}

function goArchitecture(): string {
  return goArchitectures[process.arch] ?? process.arch;
}
