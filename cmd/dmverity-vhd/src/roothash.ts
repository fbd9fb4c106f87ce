import { type ImageRequest, openImageSource } from './image-source.ts';
import { layerRootHash } from './layer-vhd.ts';

/** Says the root hash of each layer of an image, the lowest first. */
export async function sayRootHashes(request: ImageRequest, say: (line: string) => void): Promise<void> {
  const { note, signal } = request;
  await using image = await openImageSource(request);
  const rootHashes = new Map<string, string>();
  for (const [index, { diffId, open }] of image.layers.entries()) {
    if (rootHashes.has(diffId)) continue;
    note(`Hashing layer ${index}, ${diffId}`);
    const layer = { label: `layer ${index}`, archive: open(), identity: () => diffId, signal };
    rootHashes.set(diffId, await layerRootHash(layer));
  }
  for (const [index, { diffId }] of image.layers.entries()) {
    say(`Layer ${index} root hash: ${rootHashes.get(diffId)}`);
  }
}
