import { stat } from 'node:fs/promises';
import type { LayerCache, LayerDisk } from '../layer-cache.ts';
import { type ImageLayer, isImageDirectory, type OpenImageOptions, openImage } from './image.ts';
import type { ImageConfig } from './image-documents.ts';
import { createLayerDisk } from './layer-disk.ts';

export interface ImageDisks {
  /** The topmost first. */
  layers: LayerDisk[];
  config: ImageConfig;
}

/**
 * The disks of an image: a docker archive, an OCI layout, or a directory that is a root file system by itself.
 * What the cache has is not converted again, and of an image that it has in full only the documents are read.
 */
export async function prepareImage(
  path: string,
  cache: LayerCache,
  options: OpenImageOptions = {},
): Promise<ImageDisks> {
  const { signal } = options;
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory() && !(await isImageDirectory(path))) {
    return { layers: [await cache.ensureLayer(path, { signal })], config: {} };
  }
  await using image = await openImage(path, options);
  // One layer that fails ends the work on the others, and all have ended when this does.
  const failed = new AbortController();
  const working = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const disks = await Promise.allSettled(
    image.layers.map((layer) =>
      ensureImageLayer(cache, layer, working).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    ),
  );
  if (working.aborted) throw working.reason;
  return {
    layers: disks.flatMap((disk) => (disk.status === 'fulfilled' ? [disk.value] : [])),
    config: image.config,
  };
}

/** A layer's disk, known by what is in the layer, so that images share it. */
function ensureImageLayer(cache: LayerCache, layer: ImageLayer, signal: AbortSignal): Promise<LayerDisk> {
  return cache.ensure(
    layer.diffId.replace(':', '-'),
    async (output) => createLayerDisk({ archive: await layer.open(), output, signal }),
    { signal },
  );
}
