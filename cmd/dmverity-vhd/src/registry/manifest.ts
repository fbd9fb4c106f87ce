import { parseDocument, read } from '@hcsshim/schema';

/** Points to a blob. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  /** In bytes. */
  size: number;
}

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** Of an image for one platform. */
export interface Manifest {
  config: Descriptor;
  layers: Descriptor[];
}

/** Points to a manifest for each platform. */
export interface ManifestIndex {
  manifests: (Descriptor & { platform?: Platform })[];
}

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

/** What a registry is asked for. */
export const acceptedTypes = [...manifestTypes, ...indexTypes];

const { listOf, optional, record, text, withDefault } = read;

const descriptorFields = { mediaType: withDefault(text, ''), digest: text, size: read.size };
const descriptor = record<Descriptor>(descriptorFields);
const manifest = record<Manifest>({ config: descriptor, layers: listOf(descriptor) });
const platform = record<Platform>({
  os: withDefault(text, ''),
  architecture: withDefault(text, ''),
  variant: optional(text),
});
const index = record<ManifestIndex>({
  manifests: listOf(
    record<Descriptor & { platform?: Platform }>({ ...descriptorFields, platform: optional(platform) }),
  ),
});
const typed = record<{ mediaType: string }>({ mediaType: withDefault(text, '') });

/** Reads what a registry has under a tag or digest; its type is in the document, or as the registry says. */
export function parseManifest(bytes: Uint8Array, contentType: string): Manifest | ManifestIndex {
  const json = Buffer.from(bytes).toString();
  const type = parseDocument('the manifest', json, typed).mediaType || contentType.split(';')[0]!.trim();
  if (indexTypes.includes(type)) return parseDocument('the index of the image', json, index);
  if (manifestTypes.includes(type)) return parseDocument('the manifest of the image', json, manifest);
  throw new Error(`Cannot use an image of type "${type}": it is not of OCI, nor of Docker's schema 2`);
}

/** The entry for a platform. Throws when there is none. */
export function selectPlatform({ manifests }: ManifestIndex, wanted: Platform, image: string): Descriptor {
  const found = manifests.find(
    ({ platform: has }) =>
      has?.os === wanted.os &&
      has.architecture === wanted.architecture &&
      (wanted.variant === undefined || has.variant === wanted.variant),
  );
  if (found) return found;
  const names = manifests.flatMap(({ platform: has }) => (has ? [platformName(has)] : []));
  throw new Error(
    `Cannot use image "${image}": it is not for ${platformName(wanted)}, but for ${[...new Set(names)].join(', ') || 'none'}`,
  );
}

function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/');
}
