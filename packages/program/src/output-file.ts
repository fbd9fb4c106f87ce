import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, openSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemProblem } from './system-problem.ts';

/** Past a limit of the file's size, writing then fails with an error instead of ending the process. */
process.on('SIGXFSZ', () => {});

/**
 * A file that appears under its name when it is complete, in the place of the one that was there. Until then it is
 * beside it under a name of its own, and disposing removes it. What is not a regular file, a block device for
 * example, is written in place.
 */
export class OutputFile implements Disposable {
  readonly path: string;
  /** Open for reading and writing. In place it may be for writing alone. */
  readonly fd: number;
  /** Whether `path` is written itself, and what it held before is still there. */
  readonly inPlace: boolean;
  /** Where it is until it is complete. */
  readonly #unfinished: string | undefined;
  /** Where a link leads to: the link stays. */
  readonly #target: string;
  #open = true;

  /** Throws when it cannot be made. */
  constructor(path: string) {
    this.path = path;
    try {
      const present = statSync(path, { throwIfNoEntry: false });
      this.#target = present ? realpathSync(path) : path;
      this.inPlace = present !== undefined && !present.isFile();
      if (present?.isFIFO() || present?.isSocket()) {
        throw new Error('it can only be written from front to back, give a file');
      }
      if (this.inPlace) {
        this.fd = openSync(path, 'r+');
        return;
      }
      // Not `${name}.…`, which could be longer than a name may be.
      this.#unfinished = join(dirname(this.#target), `.${randomUUID()}.unfinished`);
      this.fd = openSync(this.#unfinished, 'wx+');
      if (present) keepMode(this.fd, present.mode);
    } catch (cause) {
      throw new Error(`Cannot write "${path}": ${systemProblem(cause)}`, { cause });
    }
  }

  /** Gives it its name. Nothing may be written afterwards. */
  complete(): void {
    this.#close();
    if (this.#unfinished === undefined) return;
    try {
      renameSync(this.#unfinished, this.#target);
    } catch (cause) {
      rmSync(this.#unfinished, { force: true });
      throw new Error(`Cannot write "${this.path}": ${systemProblem(cause)}`, { cause });
    }
  }

  /** Removes it unless it is complete. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#close();
    if (this.#unfinished !== undefined) rmSync(this.#unfinished, { force: true });
  }

  #close(): void {
    this.#open = false;
    closeSync(this.fd);
  }
}

function keepMode(fd: number, mode: number): void {
  try {
    fchmodSync(fd, mode & 0o7777);
  } catch {
    // A file system without permissions has the same for all files.
  }
}
