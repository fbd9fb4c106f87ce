import { HcsError } from '@hcsshim/schema';
import { bind, holdPrivileges, kernel32 } from '@hcsshim/windows';
import type { BackupReading, BackupWriting } from './backup-file.ts';
import { type BaseLayerDriver, BaseLayerTarget } from './base-layer-target.ts';
import type { EntryWriter } from './entry-writer.ts';
import type { FileBasicInfo } from './file-information.ts';
import { ImportedLayerTarget, type ImportingDriver } from './imported-layer-target.ts';
import { copyTimeout, type LayerCallOptions, layerCall } from './layer-call.ts';
import { LayerDriver } from './layer-driver.ts';
import { type LayerTarget, layerName } from './layer-target.ts';

export interface LayerWriterOptions extends LayerCallOptions {
  /** What makes a layer of files. @default a new LayerDriver */
  driver?: BaseLayerDriver & ImportingDriver;
  /** What writes files, and copies those of a utility VM. @default the host's `kernel32.dll` */
  dll?: BackupReading & BackupWriting;
}

type State = 'open' | 'failed' | 'committed' | 'closed';

/**
 * Writes a layer, entry by entry: a directory before what is in it. One without parents is written where it is to be, any other to
 * a temporary folder that is imported in the end. The layer is there once {@link LayerWriter.commit} has succeeded: after a call that
 * failed there is no way to that, and what is in the layer's folder by then is for {@link LayerDriver.destroy}. Until it is disposed of,
 * the process has `SeBackupPrivilege` and `SeRestorePrivilege`. Source: hcsshim's internal/wclayer, `NewLayerWriter`.
 */
export class LayerWriter implements AsyncDisposable {
  /** The layer's, for messages. */
  readonly path: string;
  readonly #target: LayerTarget;
  readonly #owned: AsyncDisposableStack;
  #state: State = 'open';
  #entry: EntryWriter | undefined;
  /** The call under way, and those that wait for it. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, target: LayerTarget, owned: AsyncDisposableStack) {
    this.path = path;
    this.#target = target;
    this.#owned = owned;
  }

  /**
   * @param path Of the layer's folder, which must be there.
   * @param parents Paths of the layers below, the nearest first.
   */
  static async open(
    path: string,
    parents: readonly string[],
    { driver = new LayerDriver(), dll = bind(kernel32), ...options }: LayerWriterOptions = {},
  ): Promise<LayerWriter> {
    return layerCall(`write layer "${path}"`, options, async (deadline) => {
      await using owned = new AsyncDisposableStack();
      owned.use(holdPrivileges(['SeBackupPrivilege', 'SeRestorePrivilege']));
      const call = { signal: deadline };
      const target = owned.use(
        parents.length === 0
          ? await BaseLayerTarget.open(path, driver, dll, call)
          : await ImportedLayerTarget.open(path, parents, driver, dll, call),
      );
      deadline.throwIfAborted();
      return new LayerWriter(path, target, owned.move());
    });
  }

  /**
   * Begins a file, or a directory where its attributes say so, with nothing in it.
   *
   * @param name Below `Files`, `Hives` or `UtilityVM\Files`, or one of these or `UtilityVM`.
   */
  async add(name: string, info: FileBasicInfo, options: LayerCallOptions = {}): Promise<void> {
    return this.#step(`add "${name}" to`, options, async (signal) => {
      await this.#finishEntry(signal);
      this.#entry = await this.#target.add(layerName(name), info, signal);
    });
  }

  /** Gives a file another name. @param target One that was added before, or that a parent has. */
  async addLink(name: string, target: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#step(`add link "${name}" to`, options, async (signal) => {
      await this.#finishEntry(signal);
      await this.#target.addLink(layerName(name), layerName(target), signal);
    });
  }

  /** Has the layer delete a file or directory that a parent has. */
  async remove(name: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#step(`have "${name}" deleted by`, options, async (signal) => {
      await this.#finishEntry(signal);
      await this.#target.remove(layerName(name), signal);
    });
  }

  /** Writes a piece of the backup stream of what was added last. */
  async write(bytes: Uint8Array, options: LayerCallOptions = {}): Promise<void> {
    return this.#step('write to', options, async () => {
      if (this.#entry === undefined) throw unusable(this.path, 'nothing was added that takes bytes');
      await this.#entry.write(bytes);
    });
  }

  /** Makes the layer. Given up after 30 minutes by default. */
  async commit(options: LayerCallOptions = {}): Promise<void> {
    return this.#step('finish', { timeout: copyTimeout, ...options }, async (signal) => {
      await this.#finishEntry(signal);
      await this.#target.commit(signal);
      this.#state = 'committed';
    });
  }

  /** Ends it, committed or not, after the call under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'closed';
    await this.#last;
    await using _ = this.#owned;
    await this.#entry?.[Symbol.asyncDispose]();
    this.#entry = undefined;
  }

  async #finishEntry(signal: AbortSignal): Promise<void> {
    await using entry = this.#entry;
    this.#entry = undefined;
    await entry?.finish(signal);
  }

  /** One at a time, and none after one that failed: the layer would lack something. */
  #step(
    action: string,
    options: LayerCallOptions,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    return layerCall(`${action} layer "${this.path}"`, options, (signal) => {
      const mine = this.#last.then(async () => {
        if (this.#state !== 'open') throw unusable(this.path, problems[this.#state]);
        try {
          signal.throwIfAborted();
          await work(signal);
          signal.throwIfAborted();
        } catch (error) {
          if (this.#isOpen()) this.#state = 'failed';
          throw error;
        }
      });
      this.#last = mine.catch(() => {});
      return mine;
    });
  }

  /** A method, since the state may have changed while a call was under way. */
  #isOpen(): boolean {
    return this.#state === 'open';
  }
}

const problems = {
  failed: 'a call before this one failed',
  committed: 'the layer is finished',
  closed: 'the writer is closed',
} as const;

function unusable(path: string, problem: string): HcsError {
  return new HcsError({
    action: `Cannot write layer "${path}"`,
    problem,
    code: 'ERROR_INVALID_HANDLE',
  });
}
