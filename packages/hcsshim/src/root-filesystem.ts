import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ImageConfig,
  type ImageDisks,
  LayerCache,
  NamedScratchDisk,
  prepareImage,
  ScratchDisk,
  type SnapshotMount,
  snapshotDirectories,
} from '@hcsshim/storage';

/** Where a container's root comes from: an image on disk, or a snapshot that containerd has made. */
export type RootSource = { image: string } | { mounts: readonly SnapshotMount[] };

/** A root as disks. Disposing gives the scratch disk back; layer disks stay in the cache. */
export interface RootDisks extends AsyncDisposable {
  /** Read-only disks, the topmost layer first. */
  layers: string[];
  /** The writable disk. */
  scratch: string;
  /** What the image says about how to run it; containerd has put that into the spec already. */
  image: ImageConfig;
}

export interface PrepareRootOptions {
  scratchBytes: number;
  signal?: AbortSignal;
}

/** Turns roots into disks, by way of the layer cache. */
export class RootFilesystems {
  readonly #scratchDirectory: string;
  readonly #layers: LayerCache;

  constructor(cacheDirectory: string) {
    this.#scratchDirectory = join(cacheDirectory, 'scratch');
    this.#layers = new LayerCache(join(cacheDirectory, 'layers'));
  }

  async prepare(source: RootSource, { scratchBytes, signal }: PrepareRootOptions): Promise<RootDisks> {
    const call = signal ? { signal } : {};
    const scratchKind = process.platform === 'win32' ? NamedScratchDisk : ScratchDisk;
    const [scratch, image] = await Promise.allSettled([
      scratchKind.create({ directory: this.#scratchDirectory, size: scratchBytes, ...call }),
      'mounts' in source
        ? this.#disksOfSnapshot(source.mounts, call)
        : prepareImage(source.image, this.#layers, call),
    ]);
    if (scratch.status === 'rejected') throw scratch.reason;
    if (image.status === 'rejected') {
      await scratch.value[Symbol.asyncDispose]();
      throw image.reason;
    }
    return {
      layers: image.value.layers.map(({ path }) => path),
      scratch: scratch.value.path,
      image: image.value.config,
      [Symbol.asyncDispose]: () => scratch.value[Symbol.asyncDispose](),
    };
  }

  async #disksOfSnapshot(
    mounts: readonly SnapshotMount[],
    options: { signal?: AbortSignal },
  ): Promise<ImageDisks> {
    const { lower, upper } = snapshotDirectories(mounts);
    const layers = lower.map((directory) => ({ directory, immutable: true }));
    // A snapshot that was written to before, by another runtime or an import, has something on top.
    if (upper !== undefined && (lower.length === 0 || (await readdir(upper)).length > 0)) {
      layers.unshift({ directory: upper, immutable: false });
    }
    const disks = await Promise.all(
      layers.map(({ directory, immutable }) =>
        this.#layers.ensureLayer(directory, { immutable, ...options }),
      ),
    );
    return { layers: disks, config: {} };
  }
}
