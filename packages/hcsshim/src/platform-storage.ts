import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CallOptions, HcsError } from '@hcsshim/hcs';
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
import type { LayerDriver } from '@hcsshim/storage/windows';

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

export interface PrepareRootOptions extends CallOptions {
  /** Size of the writable disk. */
  scratchBytes: number;
}

/** A writable disk. Disposing removes it. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
}

/** What containers have as disks: layers, which are kept, and scratch disks, which are not. */
export class PlatformStorage {
  /** Layers as read-only disks, made once. */
  readonly layers: LayerCache;
  readonly #scratchDirectory: string;

  constructor(cacheDirectory: string) {
    this.#scratchDirectory = join(cacheDirectory, 'scratch');
    this.layers = new LayerCache(join(cacheDirectory, 'layers'));
  }

  /** Makes an empty writable disk, formatted. On Linux it is sparse. @param size In bytes. */
  async createScratch(size: number, { signal }: CallOptions = {}): Promise<Scratch> {
    const kind = process.platform === 'win32' ? NamedScratchDisk : ScratchDisk;
    return kind.create({ directory: this.#scratchDirectory, size, ...(signal ? { signal } : {}) });
  }

  /** Layers of Windows containers through the service that keeps them. Throws ERROR_NOT_SUPPORTED on other systems. */
  async openLayerDriver(): Promise<LayerDriver> {
    if (process.platform === 'win32') return new (await import('@hcsshim/storage/windows')).LayerDriver();
    throw new HcsError({
      action: 'Cannot open the layers of Windows containers',
      problem: 'only Windows has them, use the layers of Linux containers here',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }

  /** Turns a root into disks, by way of the layers that are kept. A failure leaves no scratch disk behind. */
  async prepareRoot(source: RootSource, { scratchBytes, signal }: PrepareRootOptions): Promise<RootDisks> {
    const call = signal ? { signal } : {};
    const [scratch, image] = await Promise.allSettled([
      this.createScratch(scratchBytes, call),
      'mounts' in source
        ? this.#disksOfSnapshot(source.mounts, call)
        : prepareImage(source.image, this.layers, call),
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
      layers.map(({ directory, immutable }) => this.layers.ensureLayer(directory, { immutable, ...options })),
    );
    return { layers: disks, config: {} };
  }
}
