import { type BackupReading, readBackup } from './backup-file.ts';
import type { LayerCallOptions } from './layer-call.ts';
import type { FoundEntry, LayerFiles, OpenedEntry } from './layer-files.ts';
import { filesFolder, isBelow, utilityVmFiles, utilityVmFolder } from './legacy-layer.ts';
import { RootDirectory } from './root-directory.ts';
import { walkDirectory } from './walk-directory.ts';

/** A layer without parents: its files are read as they are. */
export class BaseLayerFiles implements LayerFiles {
  readonly #root: RootDirectory;
  readonly #dll: BackupReading;

  private constructor(root: RootDirectory, dll: BackupReading) {
    this.#root = root;
    this.#dll = dll;
  }

  static async open(path: string, dll: BackupReading, options: LayerCallOptions): Promise<BaseLayerFiles> {
    return new BaseLayerFiles(await RootDirectory.open(path, options), dll);
  }

  async *find(signal: AbortSignal): AsyncGenerator<FoundEntry, void> {
    yield* walkDirectory(this.#root, filesFolder, { signal, isLeftOut: isRecycleBin });
    // Without files it is no utility VM.
    if ((await this.#root.lstatIfThere(utilityVmFiles, { signal })) === undefined) return;
    // Beside the files there are disks that are made of them.
    const isLeftOut = (path: string) => path !== utilityVmFiles && !isBelow(path, utilityVmFiles);
    yield* walkDirectory(this.#root, utilityVmFolder, { signal, isLeftOut });
  }

  async open({ path }: FoundEntry, signal: AbortSignal): Promise<OpenedEntry> {
    await using opened = new AsyncDisposableStack();
    const file = opened.use(await this.#root.open(path, { access: ['read'], reparsePoint: true, signal }));
    const entry = {
      file,
      info: await file.basicInfo(),
      size: await file.size(),
      bytes: readBackup(file, { security: true, dll: this.#dll }),
    };
    opened.move();
    return entry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root[Symbol.asyncDispose]();
  }
}

/** What users have thrown away is no part of an image. */
export function isRecycleBin(path: string): boolean {
  return path.toLowerCase() === 'files\\$recycle.bin';
}
