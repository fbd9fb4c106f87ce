import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { copySparse } from '@hcsshim/linux';
import { createExt4Image } from './ext4-image.ts';

export interface ScratchDiskOptions {
  /** Where the templates and, for a moment, the disk's name are. Must be on a file system with sparse files. */
  directory: string;
  /** Bytes, a multiple of 4096. @default 20 GiB */
  size?: number;
  signal?: AbortSignal;
}

/** Upstream's default (`internal/lcow/scratch.go`). */
export const defaultScratchSize = 20 * 1024 ** 3;
/** Bump when what `createExt4Image` makes changes. */
const templateVersion = 1;

/**
 * An empty writable disk for a container: sparse ext4 in a fixed VHD. Its file has no name, only `path`, which
 * works for as long as this process lives: whatever is killed, no file remains.
 */
export class ScratchDisk implements AsyncDisposable {
  /** `/proc/<pid>/fd/<n>`: other processes of the same user can open it. */
  readonly path: string;
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
    this.path = `/proc/${process.pid}/fd/${file.fd}`;
  }

  static async create(options: ScratchDiskOptions): Promise<ScratchDisk> {
    const { directory, signal } = options;
    const size = options.size ?? defaultScratchSize;
    const template = join(directory, `scratch-${templateVersion}-${size}.vhd`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (!(await exists(template)))
      await createExt4Image({ output: template, size, ...(signal ? { signal } : {}) });
    const name = join(directory, `scratch-${process.pid}-${process.hrtime.bigint()}`);
    const file = await open(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await unlink(name);
      await copySparse(template, file.fd, { signal });
      return new ScratchDisk(file);
    } catch (error) {
      await rm(name, { force: true });
      await file.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
