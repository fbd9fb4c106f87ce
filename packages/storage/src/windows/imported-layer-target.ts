import { HcsError, isHcsError } from '@hcsshim/schema';
import type { BackupReading, BackupWriting } from './backup-file.ts';
import { processUtilityVm } from './base-layer-target.ts';
import { dropped, type EntryWriter, writeBackup, writeLegacy } from './entry-writer.ts';
import { type FileBasicInfo, fileAttributes } from './file-information.ts';
import { copyTimeout, type LayerCallOptions } from './layer-call.ts';
import type { LayerDriver } from './layer-driver.ts';
import { type LayerTarget, restoreDirectoryTimes, type TimedDirectory } from './layer-target.ts';
import {
  directoryDataName,
  filesFolder,
  hivesFolder,
  isBelow,
  utilityVmFiles,
  utilityVmFolder,
} from './legacy-layer.ts';
import { RootDirectory } from './root-directory.ts';
import { TemporaryDirectory } from './temporary-directory.ts';
import { cloneUtilityVm } from './utility-vm-tree.ts';

export type ImportingDriver = Pick<LayerDriver, 'import' | 'processUtilityVmImage'>;

interface PendingLink {
  name: string;
  target: string;
  root: RootDirectory;
}

/**
 * A layer with parents: it is written to a folder of its own, in the form of `legacy-layer.ts`, which is imported in the end. The
 * utility VM alone is written where it belongs.
 */
export class ImportedLayerTarget implements LayerTarget {
  readonly #folder: TemporaryDirectory;
  readonly #layer: RootDirectory;
  readonly #parents: readonly RootDirectory[];
  readonly #owned: AsyncDisposableStack;
  readonly #driver: ImportingDriver;
  readonly #dll: BackupReading & BackupWriting;
  readonly #added = new Set<string>();
  readonly #directories: TimedDirectory[] = [];
  /** Directories of the folder that are reparse points in the layer. */
  readonly #reparsePoints = new Set<string>();
  readonly #deletions: string[] = [];
  readonly #links: PendingLink[] = [];
  #hasUtilityVm = false;

  private constructor(
    roots: { folder: TemporaryDirectory; layer: RootDirectory; parents: readonly RootDirectory[] },
    owned: AsyncDisposableStack,
    driver: ImportingDriver,
    dll: BackupReading & BackupWriting,
  ) {
    this.#folder = roots.folder;
    this.#layer = roots.layer;
    this.#parents = roots.parents;
    this.#owned = owned;
    this.#driver = driver;
    this.#dll = dll;
  }

  static async open(
    path: string,
    parents: readonly string[],
    driver: ImportingDriver,
    dll: BackupReading & BackupWriting,
    options: LayerCallOptions,
  ): Promise<ImportedLayerTarget> {
    await using owned = new AsyncDisposableStack();
    const folder = owned.use(await TemporaryDirectory.create(options));
    const layer = owned.use(await RootDirectory.open(path, options));
    const opened: RootDirectory[] = [];
    for (const parent of parents) opened.push(owned.use(await RootDirectory.open(parent, options)));
    return new ImportedLayerTarget({ folder, layer, parents: opened }, owned.move(), driver, dll);
  }

  async add(name: string, info: FileBasicInfo, signal: AbortSignal): Promise<EntryWriter> {
    if (name === utilityVmFolder) {
      // The folder is made, not copied.
      await this.#makeUtilityVm(signal);
      return dropped;
    }
    this.#added.add(name.toLowerCase());
    const directory = (info.attributes & fileAttributes.directory) !== 0;
    if (directory) this.#directories.push({ path: name, info });
    if (name === utilityVmFiles || isBelow(name, utilityVmFiles))
      return this.#addToUtilityVm(name, info, directory, signal);
    return this.#addToFolder(name, info, directory, signal);
  }

  async addLink(name: string, target: string, signal: AbortSignal): Promise<void> {
    if (![filesFolder, utilityVmFiles].some((folder) => isBelow(name, folder)))
      throw noLink(name, target, 'its name is not that of a file');
    this.#links.push({ name, target, root: await this.#findTarget(name, target, signal) });
    this.#added.add(name.toLowerCase());
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    if (isBelow(name, filesFolder)) {
      this.#deletions.push(name);
      return;
    }
    if (!isBelow(name, utilityVmFiles)) {
      throw new HcsError({
        action: `Cannot delete "${name}"`,
        problem: `a layer deletes files in "${filesFolder}" and "${utilityVmFiles}" alone`,
        code: 'E_INVALIDARG',
      });
    }
    await this.#makeUtilityVm(signal);
    // One that is not there tells that this is not the layer's parent.
    await this.#layer.lstat(name, { signal });
    await this.#layer.removeAll(name, { signal });
  }

  async commit(signal: AbortSignal): Promise<void> {
    for (const path of this.#reparsePoints) await this.#folder.root.mkdir(path, { signal });
    const { path } = this.#layer;
    const parents = this.#parents.map((parent) => parent.path);
    await this.#driver.import(path, this.#folder.root.path, parents, { signal, timeout: copyTimeout });
    // The import has put there what the parents have.
    for (const name of this.#deletions) await this.#removeIfThere(name, signal);
    for (const { name, target, root } of this.#links) {
      await this.#removeIfThere(name, signal);
      await root.link(target, name, { to: this.#layer, signal });
    }
    // Not before, since both change the times of the directories that they are in.
    await restoreDirectoryTimes(this.#layer, this.#directories, signal);
    if (this.#hasUtilityVm) await processUtilityVm(this.#layer, this.#driver, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  async #makeUtilityVm(signal: AbortSignal): Promise<void> {
    if (this.#hasUtilityVm) return;
    const [parent] = this.#parents;
    await this.#layer.mkdir(utilityVmFolder, { signal });
    if (parent !== undefined) await cloneUtilityVm(parent, this.#layer, this.#dll, signal);
    this.#hasUtilityVm = true;
  }

  async #addToUtilityVm(
    name: string,
    info: FileBasicInfo,
    directory: boolean,
    signal: AbortSignal,
  ): Promise<EntryWriter> {
    if (!this.#hasUtilityVm) {
      throw new HcsError({
        action: `Cannot add it`,
        problem: `"${utilityVmFolder}" must be added before what is in it`,
        code: 'E_INVALIDARG',
      });
    }
    if (directory) await this.#makeDirectory(name, info, signal);
    // A link that is there must go: through it, the parent's file would be written to.
    else await this.#removeIfThere(name, signal);
    const file = await this.#layer.open(name, {
      access: ['read', 'write', 'writeDac', 'writeOwner', 'systemSecurity'],
      disposition: directory ? 'open' : 'create',
      reparsePoint: true,
      signal,
    });
    return writeBackup(file, info, { security: true, dll: this.#dll });
  }

  /** Keeps a directory that is there, with all that is in it, unless the one is a reparse point and the other is not. */
  async #makeDirectory(path: string, info: FileBasicInfo, signal: AbortSignal): Promise<void> {
    const existing = await this.#layer.lstatIfThere(path, { signal });
    const kind = fileAttributes.directory | fileAttributes.reparsePoint;
    if (existing !== undefined && ((existing.attributes ^ info.attributes) & kind) === 0) return;
    if (existing !== undefined) await this.#layer.removeAll(path, { signal });
    await this.#layer.mkdir(path, { signal });
  }

  async #addToFolder(
    name: string,
    info: FileBasicInfo,
    directory: boolean,
    signal: AbortSignal,
  ): Promise<EntryWriter> {
    const { root } = this.#folder;
    if (directory) await root.mkdir(name, { signal });
    const path = directory ? directoryDataName(name) : name;
    const file = await root.open(path, { access: ['read', 'write'], disposition: 'create', signal });
    if (isBelow(name, hivesFolder) && !directory) {
      const { attributes: _, ...times } = info;
      return writeBackup(file, times, { security: false, dll: this.#dll });
    }
    return writeLegacy(file, info, async (end) => {
      if (!directory) return;
      // Nothing may be put into it, which would go where it leads once it is imported. It comes back before that.
      await root.remove(name, { signal: end });
      this.#reparsePoints.add(name);
    });
  }

  async #findTarget(name: string, target: string, signal: AbortSignal): Promise<RootDirectory> {
    const folder = [filesFolder, utilityVmFiles].find((one) => isBelow(target, one));
    if (folder === undefined) throw noLink(name, target, 'its target is not that of a file');
    if (this.#added.has(target.toLowerCase())) return this.#layer;
    // The layer has the utility VM whole already, but no file of its parents before it is imported.
    const roots = folder === filesFolder ? this.#parents : [this.#layer];
    for (const root of roots) {
      if ((await root.lstatIfThere(target, { signal })) !== undefined) return root;
    }
    throw noLink(name, target, 'neither this layer nor a parent has the file');
  }

  async #removeIfThere(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#layer.remove(name, { signal });
    } catch (error) {
      if (!isHcsError(error, 'ERROR_FILE_NOT_FOUND') && !isHcsError(error, 'ERROR_PATH_NOT_FOUND'))
        throw error;
    }
  }
}

function noLink(name: string, target: string, problem: string): HcsError {
  return new HcsError({ action: `Cannot link "${name}" to "${target}"`, problem, code: 'E_INVALIDARG' });
}
