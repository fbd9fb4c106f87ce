import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { type BoundDll, bind, guidToBytes, setPointer, vmcompute, wideString } from '@hcsshim/windows';
import { absolutePath, copyTimeout, type LayerCallOptions, layerCall } from './layer-call.ts';
import { VirtualDisk } from './virtual-disk.ts';
import { extendVolume } from './volume.ts';

/** `GraphDriverType`: how a driver of the host keeps layers. */
const flavours = { diff: 0, filter: 1 } as const;

/** Longest path of Windows, in UTF-16 units, with the NUL. */
const maxPathUnits = 32_768;

export interface LayerDriverOptions {
  /** Directory that has the layers; their ids are the names of folders in it. @default none: ids are the layers' paths */
  home?: string;
  /** @default 'filter', the only one that Windows still has */
  flavour?: keyof typeof flavours;
  /** The procedures. @default those of the host's `vmcompute.dll` */
  dll?: BoundDll<typeof vmcompute>;
}

/**
 * Layers of Windows containers through the older calls of `vmcompute.dll`, which every build has and which know more kinds of layers
 * than `computestorage.dll`. A layer is known by its id: its path, or the name of its folder where the driver has a
 * home. Parents are paths, the nearest first. All calls reject with an HcsError that names the layer.
 * Source: hcsshim's layer.go and internal/wclayer.
 */
export class LayerDriver {
  readonly #home: string;
  readonly #flavour: number;
  readonly #dll: BoundDll<typeof vmcompute>;

  constructor({ home, flavour = 'filter', dll = bind(vmcompute) }: LayerDriverOptions = {}) {
    this.#home = home === undefined ? '' : absolutePath(home, 'driver of layers');
    this.#flavour = flavours[flavour];
    this.#dll = dll;
  }

  /** Mounts a layer's disk. Must be undone by {@link LayerDriver.deactivate}. */
  async activate(id: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`activate layer "${id}"`, options, () => this.#dll.ActivateLayer(this.#layer(id)));
  }

  async deactivate(id: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`deactivate layer "${id}"`, options, () => this.#dll.DeactivateLayer(this.#layer(id)));
  }

  /** Creates an empty read-only layer. @param parent Id of the layer below, empty for none. */
  async create(id: string, parent: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`create layer "${id}"`, options, () =>
      this.#dll.CreateLayer({ ...this.#layer(id), parent }),
    );
  }

  /** Creates a container's writable layer over others. */
  async createScratch(id: string, parents: readonly string[], options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`create scratch layer "${id}"`, options, async () =>
      this.#dll.CreateSandboxLayer({ ...this.#layer(id), ...(await this.#descriptors(parents)) }),
    );
  }

  async destroy(id: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`destroy layer "${id}"`, options, () => this.#dll.DestroyLayer(this.#layer(id)));
  }

  /**
   * Makes a writable layer's disk larger, and the NTFS on it.
   *
   * @param size In bytes.
   */
  async expandScratchSize(id: string, size: bigint, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`expand scratch layer "${id}" to ${size} bytes`, options, async (signal) => {
      await this.#dll.ExpandSandboxSize({ ...this.#layer(id), size });
      const path = win32.join(this.#home, id, 'sandbox.vhdx');
      await using disk = await VirtualDisk.open(path, { signal });
      await disk.attach({ encrypt: false, signal });
      await extendVolume(await this.mountPath(id, { signal }));
    });
  }

  /** Writes a layer to a folder. Given up after 30 minutes by default. */
  async export(
    id: string,
    folder: string,
    parents: readonly string[],
    options: LayerCallOptions = {},
  ): Promise<void> {
    return layerCall(`export layer "${id}"`, { timeout: copyTimeout, ...options }, async () =>
      this.#dll.ExportLayer({
        ...this.#layer(id),
        path: absolutePath(folder, 'target folder'),
        ...(await this.#descriptors(parents)),
      }),
    );
  }

  /** Makes a layer of a folder. Given up after 30 minutes by default. */
  async import(
    id: string,
    folder: string,
    parents: readonly string[],
    options: LayerCallOptions = {},
  ): Promise<void> {
    return layerCall(`import layer "${id}"`, { timeout: copyTimeout, ...options }, async () =>
      this.#dll.ImportLayer({
        ...this.#layer(id),
        path: absolutePath(folder, 'source folder'),
        ...(await this.#descriptors(parents)),
      }),
    );
  }

  /** Where a layer is mounted: `\\?\Volume{…}\`, or for a read-only one its folder. Empty where it is not. */
  async mountPath(id: string, options: LayerCallOptions = {}): Promise<string> {
    return layerCall(`find the mount path of layer "${id}"`, options, async () => {
      const { GetLayerMountPath } = this.#dll;
      const { length } = await GetLayerMountPath({ ...this.#layer(id), length: 0n, buffer: null });
      if (length > maxPathUnits) throw noPath(id);
      if (length === 0n) return '';
      const buffer = Buffer.alloc(2 * Number(length));
      await GetLayerMountPath({ ...this.#layer(id), length, buffer });
      return textUpToNul(buffer);
    });
  }

  /** Images that all of the host share: JSON, as it came. */
  async sharedBaseImages(options: LayerCallOptions = {}): Promise<string> {
    return layerCall('list shared base images', options, async () => {
      const { images } = await this.#dll.GetBaseImages({});
      return images ?? '';
    });
  }

  async exists(id: string, options: LayerCallOptions = {}): Promise<boolean> {
    return layerCall(`look for layer "${id}"`, options, async () => {
      const { exists } = await this.#dll.LayerExists(this.#layer(id));
      return exists;
    });
  }

  /** Puts the file system filter over an active writable layer, so that it shows its parents' files. */
  async prepare(id: string, parents: readonly string[], options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`prepare layer "${id}"`, options, async (deadline) => {
      const descriptors = await this.#descriptors(parents);
      await inTurn(async () => {
        deadline.throwIfAborted();
        await this.#dll.PrepareLayer({ ...this.#layer(id), ...descriptors });
      });
    });
  }

  async unprepare(id: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`unprepare layer "${id}"`, options, () => this.#dll.UnprepareLayer(this.#layer(id)));
  }

  /** Finishes a base layer whose files are there. @param path The layer's folder. */
  async processBaseLayer(path: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`process base layer "${path}"`, { timeout: copyTimeout, ...options }, () =>
      this.#dll.ProcessBaseImage({ path: absolutePath(path, 'layer') }),
    );
  }

  /** Finishes a utility VM's image whose files are there. @param path The layer's folder `UtilityVM`. */
  async processUtilityVmImage(path: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`process utility VM image "${path}"`, { timeout: copyTimeout, ...options }, () =>
      this.#dll.ProcessUtilityImage({ path: absolutePath(path, 'utility VM image') }),
    );
  }

  /** The GUID that Windows gives to a name: the same for the same name, always. */
  async nameToGuid(name: string, options: LayerCallOptions = {}): Promise<string> {
    return layerCall(`make a GUID of the name "${name}"`, options, async () => {
      const { guid } = await this.#dll.NameToGuid({ name });
      return guid;
    });
  }

  /** The GUID of a layer, which is that of its folder's name. */
  async layerId(path: string, options: LayerCallOptions = {}): Promise<string> {
    return this.nameToGuid(win32.basename(path), options);
  }

  /** Lets one virtual machine use a file. @param vmId A GUID. */
  async grantVmAccess(vmId: string, path: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`let virtual machine "${vmId}" use "${path}"`, options, () =>
      this.#dll.GrantVmAccess({ vmId, filePath: absolutePath(path, 'file') }),
    );
  }

  /** What all calls begin with: `DRIVER_INFO`, an `int` and a pointer at 8, and the id. Checks the id. */
  #layer(id: string): { info: Buffer; id: string } {
    if (this.#home === '') absolutePath(id, 'layer');
    else if (!/^[^\\/:\0]+$/.test(id) || id === '.' || id === '..') throw noName(id);
    const info = Buffer.alloc(16);
    info.writeInt32LE(this.#flavour, 0);
    setPointer(info, 8, wideString(this.#home));
    return { info, id };
  }

  /** An array of `WC_LAYER_DESCRIPTOR`: a GUID, flags at 16, and at 24 a pointer to the path; 32 bytes each. */
  async #descriptors(parents: readonly string[]): Promise<{ descriptors: Buffer | null; count: bigint }> {
    if (parents.length === 0) return { descriptors: null, count: 0n };
    const descriptors = Buffer.alloc(32 * parents.length);
    for (const [index, parent] of parents.entries()) {
      const id = await this.layerId(absolutePath(parent, 'parent layer'));
      guidToBytes(id).copy(descriptors, 32 * index);
      setPointer(descriptors, 32 * index + 24, wideString(parent));
    }
    return { descriptors, count: BigInt(parents.length) };
  }
}

/** Windows fails when two layers are prepared at a time. */
let turn: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => {});
  return mine;
}

function textUpToNul(buffer: Buffer): string {
  const text = buffer.toString('utf16le');
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

function noPath(id: string): HcsError {
  return new HcsError({
    action: `Cannot find the mount path of layer "${id}"`,
    problem: 'Windows tells a length that no path has',
    code: 'ERROR_INVALID_DATA',
  });
}

function noName(id: string): HcsError {
  return new HcsError({
    action: `Cannot use "${id}" as the id of a layer`,
    problem: "it is no folder's name, and the driver has a home: write the name of the layer's folder in it",
    code: 'E_INVALIDARG',
  });
}
