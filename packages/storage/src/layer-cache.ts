import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, readlink, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createExt4Image } from './ext4-image.ts';

export interface LayerDisk {
  /** Read-only ext4 in a fixed VHD. */
  path: string;
  /** Whether it had to be made just now. */
  converted: boolean;
}

export interface LayerOptions {
  /**
   * The directory never changes once it is there, as a committed snapshot of containerd: its identity stands for its
   * content. Otherwise every entry is looked at. @default false
   */
  immutable?: boolean;
  signal?: AbortSignal;
}

/** Bump when what a directory is made into changes. */
const cacheVersion = 1;
const lockPoll = 20;
/** A conversion that takes longer is taken for one that died with its host. In milliseconds. */
const lockTimeout = 10 * 60_000;

/**
 * Layer directories as disks, made once and kept. Several processes share a cache: who comes first converts, the
 * others wait. A file is there whole or not at all.
 */
export class LayerCache {
  readonly #directory: string;
  readonly #running = new Map<string, Promise<LayerDisk>>();

  /** @param directory made when it is needed. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The disk with what is in `directory`. */
  async ensureLayer(directory: string, options: LayerOptions = {}): Promise<LayerDisk> {
    const key = options.immutable ? await identityOf(directory) : await contentOf(directory, options.signal);
    const running = this.#running.get(key);
    if (running) return running;
    const made = this.#ensure(key, directory, options.signal);
    this.#running.set(key, made);
    try {
      return await made;
    } finally {
      this.#running.delete(key);
    }
  }

  /** Deletes disks that nobody has asked for in the last `unusedFor` milliseconds. Running VMs keep theirs. */
  async prune({ unusedFor }: { unusedFor: number }): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const path = join(this.#directory, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
      if (Date.now() - mtimeMs < unusedFor) continue;
      await rm(path, { force: true });
      removed.push(path);
    }
    return removed;
  }

  async #ensure(key: string, directory: string, signal: AbortSignal | undefined): Promise<LayerDisk> {
    const path = join(this.#directory, `${key}.vhd`);
    if (await use(path)) return { path, converted: false };
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const lock = join(this.#directory, `${key}.lock`);
    await takeLock(lock, signal);
    try {
      // Somebody else may have made it while we waited.
      if (await use(path)) return { path, converted: false };
      await createExt4Image({ directory, output: path, ...(signal ? { signal } : {}) });
      return { path, converted: true };
    } finally {
      await rm(lock, { force: true });
    }
  }
}

/** Marks a disk as used now. False when there is none. */
async function use(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
}

/**
 * Takes a lock file, or takes it over from an owner that died. Two that find the same dead owner may both go on:
 * then the work is done twice and the second result replaces an equal first one.
 */
async function takeLock(path: string, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + lockTimeout;
  for (;;) {
    signal?.throwIfAborted();
    try {
      await using file = await open(path, 'wx', 0o600);
      await file.write(`${process.pid} ${await startTimeOf(process.pid)}`);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid, startTime] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
    const abandoned = startTime !== undefined && (await startTimeOf(Number(pid))) !== startTime;
    if (abandoned || Date.now() > deadline) await rm(path, { force: true });
    else await sleep(lockPoll);
  }
}

/** Field 22 of `/proc/<pid>/stat`: with it, a pid that was given out again is not mistaken for its former owner. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19];
}

/** Stands for a directory that does not change: no two on a machine have the same inode and birth time. */
async function identityOf(directory: string): Promise<string> {
  const { dev, ino, birthtimeNs, ctimeNs } = await stat(directory, { bigint: true });
  return digest([['identity', cacheVersion, dev, ino, birthtimeNs, ctimeNs].join(' ')]);
}

/** Changes when any entry does: by name, kind, owner, size, link target, and the times that a write leaves. */
async function contentOf(directory: string, signal: AbortSignal | undefined): Promise<string> {
  const lines = [`content ${cacheVersion}`];
  const pending = [''];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    signal?.throwIfAborted();
    const absolute = join(directory, folder);
    lines.push(describe(folder, await lstat(absolute, { bigint: true })));
    const entries = await readdir(absolute, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = join(folder, entry.name);
      if (entry.isDirectory()) {
        pending.push(name);
        continue;
      }
      const target = entry.isSymbolicLink() ? await readlink(join(directory, name)) : '';
      lines.push(`${describe(name, await lstat(join(directory, name), { bigint: true }))} ${target}`);
    }
  }
  return digest(lines);
}

function describe(
  name: string,
  { dev, ino, mode, uid, gid, size, rdev, mtimeNs, ctimeNs }: BigIntStats,
): string {
  return [JSON.stringify(name), dev, ino, mode, uid, gid, size, rdev, mtimeNs, ctimeNs].join(' ');
}

function digest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}
