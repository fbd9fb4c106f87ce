import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ExclusiveFile } from './exclusive-file.ts';
import { createBlankDisk } from './ext4-image.ts';

const namePattern = /^[0-9a-f-]{36}\.vhd$/;

/**
 * An empty writable disk in a file that keeps its name until it is disposed of: on Windows a file in use cannot
 * lose it. A lock beside it tells whether its owner lives; what dead ones left, the next creation removes.
 */
export class NamedScratchDisk implements AsyncDisposable {
  readonly path: string;
  readonly #lock: ExclusiveFile;

  private constructor(path: string, lock: ExclusiveFile) {
    this.path = path;
    this.#lock = lock;
  }

  /** @param options.size Bytes of the file system, a multiple of 4096. All of them are allocated. */
  static async create({
    directory,
    size,
    signal,
  }: {
    directory: string;
    size: number;
    signal?: AbortSignal | undefined;
  }): Promise<NamedScratchDisk> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeAbandoned(directory);
    const path = join(directory, `${randomUUID()}.vhd`);
    using undo = new DisposableStack();
    const lock = undo.use(await ExclusiveFile.open(lockOf(path), { signal }));
    await createBlankDisk({ output: path, size, label: 'scratch', signal });
    undo.move();
    return new NamedScratchDisk(path, lock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await rm(this.path, { force: true, maxRetries: 5, retryDelay: 100 });
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!namePattern.test(name)) continue;
    const path = join(directory, name);
    using lock = ExclusiveFile.tryOpen(lockOf(path));
    // One that is still attached to a VM that outlived its owner cannot be removed, and is next time.
    if (lock !== undefined) await rm(path, { force: true }).catch(() => {});
  }
}

function lockOf(path: string): string {
  return `${path}.lock`;
}
