import { lstat, mkdir, open, readdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from '@hcsshim/linux';
import { HcsError } from '@hcsshim/schema';
import { directoryKey } from './directory-key.ts';
import { ExclusiveFile } from './exclusive-file.ts';
import { createDirectoryDisk } from './ext4-image.ts';
import { readVhd } from './vhd.ts';

/** A layer as a disk: a fixed VHD with a read-only ext4 file system. */
export interface LayerDisk {
  path: string;
  /** Size of the file; what it takes on the host's disk may be less. */
  bytes: number;
  /** False when the cache had it. */
  converted: boolean;
}

export interface LayerOptions {
  /**
   * The directory is never changed once it is there, as a committed snapshot of containerd: its identity stands for
   * its content. Otherwise every entry is looked at. @default false
   */
  immutable?: boolean;
  signal?: AbortSignal | undefined;
}

export interface PruneOptions {
  /** Removes only until the rest takes no more than this, in bytes on the host's disk. @default 0 */
  maxBytes?: number;
  /**
   * Removes only what was not asked for in this time, in milliseconds: what was may not have been attached yet.
   * @default 60000
   */
  unusedFor?: number;
}

/** How long another process may take to make a layer. In milliseconds. */
const lockTimeout = 600_000;
/** The ext4 superblock's magic number, 0xef53, and where it is. */
const ext4Magic = { offset: 1024 + 56, bytes: [0x53, 0xef] };

/**
 * Layer disks, each made once. Any number of processes may share the directory: two that want the same layer
 * convert it once, and one that dies leaves nothing that the next cannot clear away. A disk stays valid for who has
 * opened it when it is pruned.
 */
export class LayerCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The disk of a layer that is a directory. Throws ERROR_FILE_NOT_FOUND, and HCS_E_INVALID_STATE when the
   * directory changes while it is read.
   */
  async ensureLayer(directory: string, { immutable = false, signal }: LayerOptions = {}): Promise<LayerDisk> {
    const key = await directoryKey(directory, { immutable, signal });
    return this.ensure(
      key,
      async (output) => {
        await createDirectoryDisk({ directory, output, label: 'layer', signal });
        if ((await directoryKey(directory, { immutable, signal })) === key) return;
        await rm(output, { force: true });
        throw new HcsError({
          action: `Cannot make a disk of "${directory}"`,
          problem: 'it changed while it was read, try again when nothing writes to it',
          code: 'HCS_E_INVALID_STATE',
        });
      },
      { signal },
    );
  }

  /** The disk known by `key`, which `build` makes when it is not there or is damaged. */
  async ensure(
    key: string,
    build: (output: string) => Promise<void>,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<LayerDisk> {
    signal?.throwIfAborted();
    const path = join(this.#directory, `${key}.vhd`);
    const found = await usable(path);
    if (found !== undefined) return { path, bytes: found, converted: false };
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    using _ = await this.#lock(key, signal);
    const made = await usable(path);
    if (made !== undefined) return { path, bytes: made, converted: false };
    await this.#clearUnfinished(key);
    await build(path);
    const bytes = await usable(path);
    if (bytes === undefined) throw new Error(`Cannot make layer disk "${path}": it is not what it should be`);
    return { path, bytes, converted: true };
  }

  /** Removes disks, those first that were used longest ago. Returns their paths. */
  async prune({ maxBytes = 0, unusedFor = 60_000 }: PruneOptions = {}): Promise<string[]> {
    const layers = (await this.#layers()).sort((a, b) => a.lastUse - b.lastUse);
    let total = layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const removed: string[] = [];
    for (const { path, bytes, lastUse } of layers) {
      if (total <= maxBytes || Date.now() - lastUse < unusedFor) break;
      await rm(path, { force: true });
      removed.push(path);
      total -= bytes;
    }
    return removed;
  }

  async #lock(key: string, signal: AbortSignal | undefined): Promise<Disposable> {
    const path = join(this.#directory, `${key}.lock`);
    const patience = AbortSignal.timeout(lockTimeout);
    const options = { signal: signal ? AbortSignal.any([signal, patience]) : patience };
    try {
      return process.platform === 'win32'
        ? await ExclusiveFile.open(path, options)
        : await FileLock.acquire(path, options);
    } catch (cause) {
      if (!patience.aborted || signal?.aborted) throw cause;
      throw new HcsError({
        action: `Cannot lock "${path}"`,
        problem: `another process has held it for ${lockTimeout / 1000} s, end that process`,
        code: 'HCS_E_OPERATION_TIMEOUT',
        cause,
      });
    }
  }

  async #layers(): Promise<{ path: string; bytes: number; lastUse: number }[]> {
    const names = await readdir(this.#directory).catch(nothingThere);
    const paths = names.filter((name) => name.endsWith('.vhd')).map((name) => join(this.#directory, name));
    const layers = await Promise.all(
      paths.map(async (path) => {
        const { blocks, mtimeMs } = await lstat(path);
        return { path, bytes: blocks * 512, lastUse: mtimeMs };
      }),
    );
    return layers;
  }

  /** What a process left behind that died while it made this layer. To be called with the lock held. */
  async #clearUnfinished(key: string): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (name.startsWith(`${key}.vhd`))
        await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

/** The size of a disk that is whole, and marks it as used now. Undefined when it is absent or damaged. */
async function usable(path: string): Promise<number | undefined> {
  try {
    await readVhd(path);
    await using file = await open(path, 'r');
    const magic = new Uint8Array(2);
    await file.read(magic, 0, 2, ext4Magic.offset);
    if (magic.some((byte, index) => byte !== ext4Magic.bytes[index])) return undefined;
    const now = new Date();
    await utimes(path, now, now);
    return (await file.stat()).size;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ERROR_INVALID_DATA') return undefined;
    throw error;
  }
}

function nothingThere(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
