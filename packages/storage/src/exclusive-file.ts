import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

// uv/win.h: share mode 0, and FILE_FLAG_DELETE_ON_CLOSE
const UV_FS_O_EXLOCK = 0x1000_0000;
const UV_FS_O_TEMPORARY = 0x0040;

/** In milliseconds. */
const retryDelay = 20;
/** A file that is just being deleted cannot be opened, with the code of one that may not be opened at all. */
const deletionPatience = 2_000;

/**
 * A lock between processes of Windows: a file of its own that nobody else can open. It vanishes when it is
 * closed, and so when its holder dies. Elsewhere such a file keeps nobody out.
 */
export class ExclusiveFile implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Undefined when another has it. */
  static tryOpen(path: string): ExclusiveFile | undefined {
    const { O_CREAT, O_RDWR } = constants;
    try {
      return new ExclusiveFile(openSync(path, O_CREAT | O_RDWR | UV_FS_O_EXLOCK | UV_FS_O_TEMPORARY, 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EBUSY') return undefined;
      throw error;
    }
  }

  /** Waits for as many other holders as it takes; they are not served in turn. */
  static async open(
    path: string,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<ExclusiveFile> {
    let deletedBy = performance.now() + deletionPatience;
    for (;;) {
      options.signal?.throwIfAborted();
      try {
        const file = ExclusiveFile.tryOpen(path);
        if (file !== undefined) return file;
        deletedBy = performance.now() + deletionPatience;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if ((code !== 'EPERM' && code !== 'EACCES') || performance.now() > deletedBy) throw error;
      }
      await setTimeout(retryDelay, undefined, options.signal ? { signal: options.signal } : {}).catch(
        () => {},
      );
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
