import { HcsError, parseDocument, read } from '@hcsshim/schema';
import { type Digest, isDigest } from './digest.ts';

const { integer, listOf, mapOf, optional, record, text, withDefault } = read;

/** How an image wants to be run, in the words of the OCI image specification. */
export interface ImageConfig {
  /** `NAME=value` */
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  WorkingDir?: string;
  /** Name or number, optionally `user:group`. */
  User?: string;
}

/** The document that an image's id is the digest of. */
export interface ImageDocument {
  os: string;
  architecture: string;
  config: ImageConfig;
  rootfs: { diff_ids: string[] };
}

/** Points to a blob of the image. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
  annotations?: Record<string, string>;
}

export interface OciIndex {
  manifests: Descriptor[];
}

export interface OciManifest {
  config: Descriptor;
  layers: Descriptor[];
}

/** An entry of `manifest.json` in a docker archive. */
export interface DockerManifest {
  Config: string;
  RepoTags: string[];
  Layers: string[];
}

const largestSize = integer(0, Number.MAX_SAFE_INTEGER);

const descriptor = record<Descriptor>({
  mediaType: withDefault(text, ''),
  digest: text,
  size: largestSize,
  platform: optional(
    record<{ os: string; architecture: string }>({
      os: withDefault(text, ''),
      architecture: withDefault(text, ''),
    }),
  ),
  annotations: optional(mapOf(text)),
});

const imageDocument = record<ImageDocument>({
  os: withDefault(text, 'linux'),
  architecture: withDefault(text, ''),
  config: withDefault(
    record<ImageConfig>({
      Env: optional(listOf(text)),
      Entrypoint: optional(listOf(text)),
      Cmd: optional(listOf(text)),
      WorkingDir: optional(text),
      User: optional(text),
    }),
    {},
  ),
  rootfs: record<{ diff_ids: string[] }>({ diff_ids: withDefault(listOf(text), []) }),
});

const index = record<OciIndex>({ manifests: withDefault(listOf(descriptor), []) });

const manifest = record<OciManifest>({
  config: descriptor,
  layers: withDefault(listOf(descriptor), []),
});

const dockerManifests = listOf(
  record<DockerManifest>({
    Config: text,
    RepoTags: withDefault(listOf(text), []),
    Layers: withDefault(listOf(text), []),
  }),
);

export function parseImageDocument(bytes: Uint8Array): ImageDocument {
  return parse('the configuration of the image', bytes, imageDocument);
}

export function parseIndex(bytes: Uint8Array): OciIndex {
  return parse('the index of the image', bytes, index);
}

export function parseManifest(bytes: Uint8Array): OciManifest {
  return parse('the manifest of the image', bytes, manifest);
}

export function parseDockerManifests(bytes: Uint8Array): DockerManifest[] {
  return parse('manifest.json of the image', bytes, dockerManifests);
}

/** Throws ERROR_INVALID_DATA when the text is no digest that is known. */
export function asDigest(value: string, subject: string): Digest {
  if (isDigest(value)) return value;
  throw new HcsError({
    action: `Cannot read ${subject}`,
    problem: `"${value}" is no SHA-256 digest`,
    code: 'ERROR_INVALID_DATA',
  });
}

function parse<T>(document: string, bytes: Uint8Array, reader: read.Reader<T>): T {
  return parseDocument(document, Buffer.from(bytes).toString('utf8'), reader);
}
