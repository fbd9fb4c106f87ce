import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';
import { LayerCache, ScratchDisk, type SnapshotMount, snapshotDirectories } from '@hcsshim/storage';
import type { ImageDefaults } from './default-spec.ts';

/** Where a container's root comes from: an image on disk, or a snapshot that containerd has made. */
export type RootSource = { image: string } | { mounts: readonly SnapshotMount[] };

/** A root as disks. Disposing gives the scratch disk back; layer disks stay in the cache. */
export interface RootDisks extends AsyncDisposable {
  /** Read-only disks, the topmost layer first. */
  layers: string[];
  /** The writable disk. */
  scratch: string;
  /** What the image says about how to run it. */
  image: ImageDefaults;
}

export interface PrepareRootOptions {
  scratchBytes: number;
  signal?: AbortSignal;
}

interface Layer {
  directory: string;
  /** A committed snapshot or an unpacked image layer, as against a directory that a user may change. */
  immutable: boolean;
}

/** Turns roots into disks, by way of the layer cache. */
export class RootFilesystems {
  readonly #cacheDirectory: string;
  readonly #layers: LayerCache;

  constructor(cacheDirectory: string) {
    this.#cacheDirectory = cacheDirectory;
    this.#layers = new LayerCache(join(cacheDirectory, 'layers'));
  }

  async prepare(source: RootSource, { scratchBytes, signal }: PrepareRootOptions): Promise<RootDisks> {
    const { layers, image } =
      'mounts' in source ? await layersOfSnapshot(source.mounts) : await this.#layersOfImage(source.image);
    const call = signal ? { signal } : {};
    const making = ScratchDisk.create({
      directory: join(this.#cacheDirectory, 'scratch'),
      size: scratchBytes,
      ...call,
    });
    const converting = layers.map(({ directory, immutable }) =>
      this.#layers.ensureLayer(directory, { immutable, ...call }),
    );
    const [scratch, ...disks] = await Promise.allSettled([making, ...converting]);
    const failure = [scratch, ...disks].find((result) => result.status === 'rejected');
    if (failure || scratch.status === 'rejected') {
      if (scratch.status === 'fulfilled') await scratch.value[Symbol.asyncDispose]();
      throw failure?.reason;
    }
    return {
      layers: disks.flatMap((disk) => (disk.status === 'fulfilled' ? [disk.value.path] : [])),
      scratch: scratch.value.path,
      image,
      [Symbol.asyncDispose]: () => scratch.value[Symbol.asyncDispose](),
    };
  }

  async #layersOfImage(path: string): Promise<{ layers: Layer[]; image: ImageDefaults }> {
    const stats = await stat(path).catch((cause: unknown) => {
      throw new HcsError({
        action: `Cannot open image "${path}"`,
        problem: 'there is no such file or directory',
        code: 'ERROR_FILE_NOT_FOUND',
        cause,
      });
    });
    if (stats.isDirectory()) return { layers: [{ directory: path, immutable: false }], image: {} };
    throw new Error(path);
  }
}

async function layersOfSnapshot(
  mounts: readonly SnapshotMount[],
): Promise<{ layers: Layer[]; image: ImageDefaults }> {
  const { lower, upper } = snapshotDirectories(mounts);
  const layers: Layer[] = lower.map((directory) => ({ directory, immutable: true }));
  // A snapshot that was written to before, by another runtime or an import, has something on top.
  if (upper !== undefined && (lower.length === 0 || (await readdir(upper)).length > 0)) {
    layers.unshift({ directory: upper, immutable: false });
  }
  return { layers, image: {} };
}
