import { HcsError } from '@hcsshim/schema';
import { bind, holdPrivileges, kernel32 } from '@hcsshim/windows';
import type { BackupReading } from './backup-file.ts';
import { BaseLayerFiles } from './base-layer-files.ts';
import { ExportedLayerFiles } from './exported-layer-files.ts';
import type { FileBasicInfo, FileLinkInfo } from './file-information.ts';
import { copyTimeout, type LayerCallOptions, layerCall } from './layer-call.ts';
import { LayerDriver } from './layer-driver.ts';
import type { FoundEntry, LayerFiles, OpenedEntry } from './layer-files.ts';

export interface LayerReaderOptions extends LayerCallOptions {
  /** What exports a layer that has parents. @default a new LayerDriver */
  driver?: Pick<LayerDriver, 'export'>;
  /** What reads files. @default the host's `kernel32.dll` */
  dll?: BackupReading;
}

/** A file or directory that a layer has. */
export interface LayerFile {
  /** `Files\Windows\notepad.exe` */
  readonly name: string;
  readonly isDeletion: false;
  /** Bytes of its data; 0 for a directory. */
  readonly size: bigint;
  readonly info: FileBasicInfo;
  /** How many names the file has. Until the next entry. */
  linkInfo(): Promise<FileLinkInfo>;
  /** Its backup stream, in pieces: see {@link BackupStreamDecoder}. Once, and until the next entry. */
  read(): AsyncGenerator<Buffer, void>;
}

/** A file or directory of a parent that a layer deletes. */
export interface LayerDeletion {
  readonly name: string;
  readonly isDeletion: true;
}

export type LayerEntry = LayerFile | LayerDeletion;

/**
 * Reads a layer, entry by entry: a directory before what is in it. One without parents is read where it is, any other is exported to
 * a temporary folder first, which is removed when the reader is disposed of. Until then the process has `SeBackupPrivilege`. An
 * entry is open until the next one is asked for. Source: hcsshim's internal/wclayer, `NewLayerReader`.
 */
export class LayerReader implements AsyncIterable<LayerEntry>, AsyncDisposable {
  /** The layer's, for messages. */
  readonly path: string;
  readonly #files: LayerFiles;
  readonly #owned: AsyncDisposableStack;
  readonly #options: LayerCallOptions;
  readonly #ended = new AbortController();
  /** Of the reader. */
  readonly #lifetime: AbortSignal;
  #isBegun = false;
  #current: OpenedEntry | undefined;

  private constructor(
    path: string,
    files: LayerFiles,
    owned: AsyncDisposableStack,
    options: LayerCallOptions,
  ) {
    this.path = path;
    this.#files = files;
    this.#owned = owned;
    this.#options = options;
    const { signal } = options;
    this.#lifetime =
      signal === undefined ? this.#ended.signal : AbortSignal.any([signal, this.#ended.signal]);
  }

  /**
   * @param parents Paths of the layers below, the nearest first.
   * @param options `timeout` is that of each step; an export is given 30 minutes by default. `signal` ends the reading too.
   */
  static async open(
    path: string,
    parents: readonly string[],
    { driver = new LayerDriver(), dll = bind(kernel32), ...options }: LayerReaderOptions = {},
  ): Promise<LayerReader> {
    return layerCall(`read layer "${path}"`, { timeout: copyTimeout, ...options }, async (deadline) => {
      await using owned = new AsyncDisposableStack();
      owned.use(holdPrivileges(['SeBackupPrivilege']));
      const call = { signal: deadline, timeout: options.timeout ?? copyTimeout };
      const files = owned.use(
        parents.length === 0
          ? await BaseLayerFiles.open(path, dll, call)
          : await ExportedLayerFiles.export(path, parents, driver, dll, call),
      );
      deadline.throwIfAborted();
      return new LayerReader(path, files, owned.move(), options);
    });
  }

  /** Can be gone through once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<LayerEntry, void> {
    if (this.#isBegun) throw this.#unusable('it has been gone through already, open it again');
    this.#isBegun = true;
    const signal = this.#lifetime;
    const found = this.#files.find(signal);
    for (;;) {
      const entry = await this.#step(`read layer "${this.path}"`, async () => {
        await this.#closeCurrent();
        const { value } = await found.next();
        return value === undefined ? undefined : await this.#open(value, signal);
      });
      if (entry === undefined) return;
      yield entry;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(this.#unusable('it is closed'));
    await using _ = this.#owned;
    await this.#closeCurrent();
  }

  async #open(found: FoundEntry, signal: AbortSignal): Promise<LayerEntry> {
    const { path: name } = found;
    if (found.isDeletion === true) return { name, isDeletion: true };
    const opened = await this.#files.open(found, signal);
    if (signal.aborted) {
      await opened.file[Symbol.asyncDispose]();
      throw signal.reason;
    }
    this.#current = opened;
    const { info, size } = opened;
    return {
      name,
      isDeletion: false,
      size,
      info,
      linkInfo: () =>
        this.#step(`read "${name}" of layer "${this.path}"`, () => this.#whileOpen(opened).file.linkInfo()),
      read: () => this.#read(name, opened),
    };
  }

  async *#read(name: string, opened: OpenedEntry): AsyncGenerator<Buffer, void> {
    for (;;) {
      const step = await this.#step(`read "${name}" of layer "${this.path}"`, () =>
        this.#whileOpen(opened).bytes.next(),
      );
      if (step.done) return;
      yield step.value;
    }
  }

  #whileOpen(opened: OpenedEntry): OpenedEntry {
    if (opened === this.#current) return opened;
    throw this.#unusable('the reader has gone on to another entry');
  }

  async #closeCurrent(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    await using _ = current.file;
    await current.bytes.return();
  }

  #step<T>(action: string, work: () => Promise<T>): Promise<T> {
    return layerCall(action, { ...this.#options, signal: this.#lifetime }, work);
  }

  #unusable(problem: string): HcsError {
    return new HcsError({
      action: `Cannot read layer "${this.path}"`,
      problem,
      code: 'ERROR_INVALID_HANDLE',
    });
  }
}
