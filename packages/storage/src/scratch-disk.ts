import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { copySparse } from '@hcsshim/linux';
import { createBlankDisk } from './ext4-image.ts';
import { readVhd } from './vhd.ts';

/** 20 GiB, upstream's default (`internal/lcow/scratch.go`). */
export const defaultScratchSize = 20 * 1024 ** 3;

/** Part of a template's name, to be raised when what is written into a new disk changes. */
const templateVersion = 3;

export interface ScratchDiskOptions {
  /** Where the templates and, for a moment, the disk's name are. Must be on a file system with sparse files. */
  directory: string;
  /** Size of the disk in bytes; a multiple of 4096. @default 20 GiB */
  size?: number;
  signal?: AbortSignal | undefined;
}

/**
 * An empty writable disk for a container: a fixed VHD with ext4, sparse, of some 40 KiB on the host whatever its
 * size. Copied from a template, which the first call makes; its first mount has nothing to initialise. The file
 * has no name, only `path`, which works for as long as this process lives: whatever is killed, no file remains.
 */
export class ScratchDisk implements AsyncDisposable {
  /** `/proc/<pid>/fd/<n>`: other processes of the same user can open it. */
  readonly path: string;
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
    this.path = `/proc/${process.pid}/fd/${file.fd}`;
  }

  static async create({
    directory,
    size = defaultScratchSize,
    signal,
  }: ScratchDiskOptions): Promise<ScratchDisk> {
    signal?.throwIfAborted();
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const template = join(directory, `template-v${templateVersion}-${size}.vhd`);
    // Two processes may make it at once: each its own, and the later takes the place of the earlier.
    if (!(await isWhole(template))) {
      await createBlankDisk({ output: template, size, label: 'scratch', signal });
    }
    const name = join(directory, randomUUID());
    const file = await open(name, 'wx+', 0o600);
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

async function isWhole(template: string): Promise<boolean> {
  try {
    await readVhd(template);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ERROR_INVALID_DATA') return false;
    throw error;
  }
}
