import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyTimeout, type LayerCallOptions } from './layer-call.ts';
import { RootDirectory } from './root-directory.ts';

/** A folder that is gone, with all that is in it, once it is disposed of. */
export class TemporaryDirectory implements AsyncDisposable {
  readonly root: RootDirectory;

  private constructor(root: RootDirectory) {
    this.root = root;
  }

  static async create(options: LayerCallOptions): Promise<TemporaryDirectory> {
    const path = await mkdtemp(join(tmpdir(), 'hcsshim-layer-'));
    try {
      return new TemporaryDirectory(await RootDirectory.open(path, options));
    } catch (error) {
      await rmdir(path);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using root = this.root;
    const options = { timeout: copyTimeout };
    for (const { name } of await root.list(undefined, options)) await root.removeAll(name, options);
    await root[Symbol.asyncDispose]();
    await rmdir(root.path);
  }
}
