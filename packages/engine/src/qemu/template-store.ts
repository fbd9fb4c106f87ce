import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from '@hcsshim/linux';

/** A VM that was saved just after its agent had come up. */
export interface Template {
  key: string;
  /** The guest's memory, sparse. */
  memoryPath: string;
  /** The state of processor and devices. */
  statePath: string;
}

interface TemplateRecord {
  version: 1;
  createdAt: string;
  memoryBytes: number;
  stateDigest: string;
}

/** How many templates stay; the one not used for the longest time goes first. A template is some 150 MB. */
const mostTemplates = 4;
/** In milliseconds. A boot that failed is tried again after this time. */
const failureLifetime = 60 * 60_000;
/** In milliseconds. Longer than any template is in the making. */
const unfinishedLifetime = 30 * 60_000;

/**
 * Templates on disk, each under its key:
 *
 *     <key>/memory      the guest's RAM
 *     <key>/state       QEMU's migration stream
 *     <key>/meta.json   a TemplateRecord; a template without it, or that does not fit it, is no template
 *     <key>.failed      why the last attempt to make it failed
 *     <key>.lock        held by whoever makes it
 *
 * A template appears and disappears by a rename. It holds the memory of a freshly booted guest, hence 0700.
 */
export class TemplateStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The template with this key when it is there and sound. Notes that it is in use. */
  async find(key: string): Promise<Template | undefined> {
    const template = this.#template(join(this.#directory, key), key);
    try {
      const record = JSON.parse(await readFile(this.#recordPath(key), 'utf8')) as TemplateRecord;
      const [{ size }, state] = await Promise.all([stat(template.memoryPath), readFile(template.statePath)]);
      if (record.version !== 1 || size !== record.memoryBytes || digest(state) !== record.stateDigest) {
        throw new Error('The template does not fit its record');
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') await this.discard(key);
      return undefined;
    }
    const now = new Date();
    await utimes(this.#recordPath(key), now, now).catch(() => {});
    return template;
  }

  /**
   * The template with this key, made by `make` if there is none: by one process at a time, while the others
   * wait for what comes of it. Throws what `make` throws, also on later calls within the next hour.
   */
  async findOrMake(
    key: string,
    options: { signal?: AbortSignal | undefined },
    make: (unfinished: Template) => Promise<void>,
  ): Promise<Template> {
    const found = await this.find(key);
    if (found) return found;
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    using _lock = await FileLock.acquire(join(this.#directory, `${key}.lock`), options);
    const made = await this.find(key);
    if (made) return made;
    await this.#refuseAfterFailure(key);
    return await this.#make(key, options.signal, make);
  }

  /** Takes a template away that turned out to be of no use. */
  async discard(key: string): Promise<void> {
    const hidden = join(this.#directory, `.${key}-${randomUUID()}`);
    await rename(join(this.#directory, key), hidden).catch(() => {});
    await rm(hidden, { recursive: true, force: true });
  }

  async #make(
    key: string,
    signal: AbortSignal | undefined,
    make: (unfinished: Template) => Promise<void>,
  ): Promise<Template> {
    const hidden = join(this.#directory, `.${key}-${randomUUID()}`);
    const unfinished = this.#template(hidden, key);
    try {
      await mkdir(hidden, { mode: 0o700 });
      await make(unfinished);
      const [{ size }, state] = await Promise.all([
        stat(unfinished.memoryPath),
        readFile(unfinished.statePath),
      ]);
      const record: TemplateRecord = {
        version: 1,
        createdAt: new Date().toISOString(),
        memoryBytes: size,
        stateDigest: digest(state),
      };
      await writeFile(join(hidden, 'meta.json'), JSON.stringify(record), { mode: 0o600 });
      await rename(hidden, join(this.#directory, key));
      await rm(this.#failurePath(key), { force: true });
      await this.#prune(key);
      return this.#template(join(this.#directory, key), key);
    } catch (error) {
      // A caller who gave up says nothing about the template.
      if (!signal?.aborted) await this.#rememberFailure(key, error);
      throw error;
    } finally {
      await rm(hidden, { recursive: true, force: true });
    }
  }

  async #rememberFailure(key: string, error: unknown): Promise<void> {
    const words = error instanceof Error ? error.message : String(error);
    await writeFile(this.#failurePath(key), words, { mode: 0o600 }).catch(() => {});
  }

  async #refuseAfterFailure(key: string): Promise<void> {
    const path = this.#failurePath(key);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (age > failureLifetime) return;
    throw new Error(
      `A template could not be made ${Math.round(age / 60_000)} minutes ago: ${await readFile(path, 'utf8')}`,
    );
  }

  /** Removes the templates that were not used for the longest time, and what died makers left. */
  async #prune(justMade: string): Promise<void> {
    const used: { key: string; at: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      if (name.endsWith('.lock')) continue;
      const path = join(this.#directory, name);
      const at = await stat(
        name.startsWith('.') || name.endsWith('.failed') ? path : this.#recordPath(name),
      ).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      );
      if (name.startsWith('.')) {
        if (Date.now() - at > unfinishedLifetime) await rm(path, { recursive: true, force: true });
      } else if (name.endsWith('.failed')) {
        if (Date.now() - at > failureLifetime) await rm(path, { force: true });
      } else if (name !== justMade) {
        used.push({ key: name, at });
      }
    }
    used.sort((one, other) => other.at - one.at);
    for (const { key } of used.slice(mostTemplates - 1)) await this.discard(key);
  }

  #template(directory: string, key: string): Template {
    return { key, memoryPath: join(directory, 'memory'), statePath: join(directory, 'state') };
  }

  #recordPath(key: string): string {
    return join(this.#directory, key, 'meta.json');
  }

  #failurePath(key: string): string {
    return join(this.#directory, `${key}.failed`);
  }
}

function digest(state: Uint8Array): string {
  return createHash('sha256').update(state).digest('hex');
}
