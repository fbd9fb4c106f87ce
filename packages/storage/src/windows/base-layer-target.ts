import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import type { BackupWriting } from './backup-file.ts';
import { type EntryWriter, writeBackup } from './entry-writer.ts';
import { type FileBasicInfo, fileAttributes } from './file-information.ts';
import { copyTimeout, type LayerCallOptions } from './layer-call.ts';
import type { LayerDriver } from './layer-driver.ts';
import { type LayerTarget, restoreDirectoryTimes, type TimedDirectory } from './layer-target.ts';
import { utilityVmFiles, utilityVmFolder } from './legacy-layer.ts';
import { RootDirectory } from './root-directory.ts';

/** A layer without parents: its files are written where they belong. */
export class BaseLayerTarget implements LayerTarget {
  readonly #root: RootDirectory;
  readonly #dll: BackupWriting;
  readonly #driver: BaseLayerDriver;
  readonly #directories: TimedDirectory[] = [];
  #hasUtilityVm = false;

  private constructor(root: RootDirectory, driver: BaseLayerDriver, dll: BackupWriting) {
    this.#root = root;
    this.#driver = driver;
    this.#dll = dll;
  }

  static async open(
    path: string,
    driver: BaseLayerDriver,
    dll: BackupWriting,
    options: LayerCallOptions,
  ): Promise<BaseLayerTarget> {
    return new BaseLayerTarget(await RootDirectory.open(path, options), driver, dll);
  }

  async add(name: string, info: FileBasicInfo, signal: AbortSignal): Promise<EntryWriter> {
    const directory = (info.attributes & fileAttributes.directory) !== 0;
    if (directory) this.#directories.push({ path: name, info });
    if (name === utilityVmFiles) this.#hasUtilityVm = true;
    const file = await this.#root.open(name, {
      access: ['read', 'write', 'writeDac', 'writeOwner', 'systemSecurity'],
      disposition: 'create',
      directory,
      signal,
    });
    return writeBackup(file, info, { security: true, dll: this.#dll });
  }

  async addLink(name: string, target: string, signal: AbortSignal): Promise<void> {
    await this.#root.link(target, name, { signal });
  }

  async remove(name: string): Promise<void> {
    throw new HcsError({
      action: `Cannot delete "${name}"`,
      problem: 'the layer has no parents that have it',
      code: 'E_INVALIDARG',
    });
  }

  async commit(signal: AbortSignal): Promise<void> {
    await restoreDirectoryTimes(this.#root, this.#directories, signal);
    await processBaseLayer(this.#root, this.#hasUtilityVm, this.#driver, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root[Symbol.asyncDispose]();
  }
}

export type BaseLayerDriver = Pick<LayerDriver, 'processBaseLayer' | 'processUtilityVmImage'>;

/** Has Windows make a base layer of files that are there. */
export async function processBaseLayer(
  root: RootDirectory,
  hasUtilityVm: boolean,
  driver: BaseLayerDriver,
  signal: AbortSignal,
): Promise<void> {
  await driver.processBaseLayer(root.path, { signal, timeout: copyTimeout });
  if (hasUtilityVm) await processUtilityVm(root, driver, signal);
}

export async function processUtilityVm(
  root: RootDirectory,
  driver: Pick<LayerDriver, 'processUtilityVmImage'>,
  signal: AbortSignal,
): Promise<void> {
  // The driver goes there by the path alone.
  await root.ensureNoReparsePoint(utilityVmFolder, { signal });
  await driver.processUtilityVmImage(win32.join(root.path, utilityVmFolder), {
    signal,
    timeout: copyTimeout,
  });
}
