import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { DllCallError, type OwnedHandle } from '@hcsshim/windows';
import {
  type DirectoryEntry,
  type FileBasicInfo,
  fileAttributes,
  linkInformation,
} from './file-information.ts';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';
import { openBelow, openNative } from './native-file.ts';
import { OpenFile } from './open-file.ts';
import { relativePath } from './relative-path.ts';

/** Rights of winnt.h. */
const accessRights = {
  read: 0x80000000,
  write: 0x40000000,
  readAttributes: 0x80,
  writeAttributes: 0x100,
  delete: 0x10000,
  writeDac: 0x40000,
  writeOwner: 0x80000,
  systemSecurity: 0x01000000,
} as const;

export type FileAccess = keyof typeof accessRights;

/** `FILE_SHARE_…` (winnt.h). */
const shares = { read: 1, write: 2, delete: 4 } as const;
const shareAll = 0x7;
/** `FILE_OPEN` and so on (winternl.h). */
const dispositions = { open: 1, create: 2 } as const;
/** `FILE_DIRECTORY_FILE` and `FILE_OPEN_REPARSE_POINT` (winternl.h). */
const directoryFile = 0x1;
const openReparsePoint = 0x00200000;

export interface OpenBelowOptions extends LayerCallOptions {
  /** What is to be done with it. */
  access: readonly FileAccess[];
  /** What others may do with it meanwhile. @default ['read'] */
  share?: readonly (keyof typeof shares)[];
  /** `open` what is there, or `create` what is not. @default 'open' */
  disposition?: keyof typeof dispositions;
  /** A directory must be there, or is made. @default false: a file is made, either is opened */
  directory?: boolean;
  /** A reparse point is opened itself at the end of the path, rather than refused. @default false */
  reparsePoint?: boolean;
}

/**
 * A directory that is open, and all that can be done below it: on no way does any call follow a reparse point, be it a symbolic link,
 * a junction or a mounted volume, also when one is put there between two calls. So whoever controls what is in the directory cannot
 * lead out of it. Paths are relative; those that lead anywhere but down are refused. Calls reject with an HcsError: with
 * STATUS_REPARSE_POINT_ENCOUNTERED for a reparse point. Source: hcsshim's internal/safefile.
 */
export class RootDirectory implements AsyncDisposable {
  readonly path: string;
  readonly #handle: OwnedHandle<'HANDLE'>;

  private constructor(path: string, handle: OwnedHandle<'HANDLE'>) {
    this.path = path;
    this.#handle = handle;
  }

  /** Opens a directory that is there. It keeps nobody from changing, renaming or removing what is in it. */
  static async open(path: string, options: LayerCallOptions = {}): Promise<RootDirectory> {
    return layerCall(`open directory "${path}"`, options, async (deadline) => {
      const plain = win32.normalize(absolutePath(path, 'directory'));
      const opening = { shareAccess: shareAll, options: directoryFile | openReparsePoint };
      const opened = new RootDirectory(plain, await openNative(plain, accessRights.read, opening));
      if (deadline.aborted) await opened[Symbol.asyncDispose]();
      return opened;
    });
  }

  async open(path: string, { signal, timeout, ...opening }: OpenBelowOptions): Promise<OpenFile> {
    return this.#call(`open "${path}"`, { signal, timeout }, async (deadline) => {
      const opened = await this.#open(path, opening);
      if (deadline.aborted) await opened[Symbol.asyncDispose]();
      return opened;
    });
  }

  /** Gives a file another name, in this directory or in another one on the same volume. It must not be there yet. */
  async link(
    path: string,
    newPath: string,
    { to = this, ...options }: LayerCallOptions & { to?: RootDirectory } = {},
  ): Promise<void> {
    return this.#call(`link "${path}" as "${newPath}" below "${to.path}"`, options, async () => {
      await using file = await this.#open(path, { access: ['writeAttributes'], share: everybody });
      await to.#useParent(newPath, (name, parent) => file.link(linkInformation(name, parent)));
    });
  }

  /** Removes a file or an empty directory; of a reparse point that itself. */
  async remove(path: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#call(`remove "${path}"`, options, () => this.#remove(path));
  }

  /** Removes a file, or a directory with all that is in it. What is not there is removed already. */
  async removeAll(path: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#call(`remove all of "${path}"`, options, (deadline) => this.#removeAll(path, deadline));
  }

  async mkdir(path: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#call(`make directory "${path}"`, options, () => this.#mkdir(path));
  }

  /** Makes a directory, and those that it is in, where they are not there. */
  async mkdirAll(path: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#call(`make directory "${path}"`, options, async () => {
      const names = relativePath(path).split('\\');
      for (const index of names.keys()) {
        const part = names.slice(0, index + 1).join('\\');
        const info = await this.#lstatIfThere(part);
        if (info === undefined) await this.#mkdir(part);
        else if (!isPlainDirectory(info)) throw noDirectory(part);
      }
    });
  }

  /** Times and attributes of a file or directory; of a reparse point its own. */
  async lstat(path: string, options: LayerCallOptions = {}): Promise<FileBasicInfo> {
    return this.#call(`look at "${path}"`, options, () => this.#lstat(path));
  }

  /** As {@link RootDirectory.lstat}; undefined where nothing is there. */
  async lstatIfThere(path: string, options: LayerCallOptions = {}): Promise<FileBasicInfo | undefined> {
    return this.#call(`look at "${path}"`, options, () => this.#lstatIfThere(path));
  }

  /** What is in a directory, in no order. @param path Nothing for this directory itself. */
  async list(path?: string, options: LayerCallOptions = {}): Promise<DirectoryEntry[]> {
    const work = (deadline: AbortSignal) => this.#list(path, deadline);
    if (path === undefined) return layerCall(`list directory "${this.path}"`, options, work);
    return this.#call(`list "${path}"`, options, work);
  }

  /** Rejects with STATUS_REPARSE_POINT_ENCOUNTERED where the path is one, or has one in it. */
  async ensureNoReparsePoint(path: string, options: LayerCallOptions = {}): Promise<void> {
    return this.#call(`make sure that "${path}" is no reparse point`, options, async () => {
      await using _ = await this.#open(path, { access: [], share: everybody });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  #call<T>(
    action: string,
    options: LayerCallOptions,
    work: (deadline: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return layerCall(`${action} in directory "${this.path}"`, options, work);
  }

  /** @param path Nothing for another handle of this directory itself. */
  async #open(
    path: string | undefined,
    opening: Omit<OpenBelowOptions, keyof LayerCallOptions>,
  ): Promise<OpenFile> {
    const plain = path === undefined ? '' : relativePath(path);
    const { access, share = ['read'], disposition = 'open', directory, reparsePoint } = opening;
    const handle = await this.#handle.use((root) =>
      openBelow(root, plain, {
        desiredAccess: access.reduce((sum, right) => (sum | accessRights[right]) >>> 0, 0),
        shareAccess: share.reduce((sum, word) => sum | shares[word], 0),
        createDisposition: dispositions[disposition],
        createOptions: (directory ? directoryFile : 0) | (reparsePoint ? openReparsePoint : 0),
      }),
    );
    return new OpenFile(win32.join(this.path, plain), handle);
  }

  async #lstat(path: string): Promise<FileBasicInfo> {
    await using file = await this.#open(path, {
      access: ['readAttributes'],
      share: everybody,
      reparsePoint: true,
    });
    return await file.basicInfo();
  }

  async #lstatIfThere(path: string): Promise<FileBasicInfo | undefined> {
    try {
      return await this.#lstat(path);
    } catch (error) {
      if (isNotThere(error)) return undefined;
      throw error;
    }
  }

  async #mkdir(path: string): Promise<void> {
    await using _ = await this.#open(path, {
      access: [],
      share: everybody,
      disposition: 'create',
      directory: true,
    });
  }

  async #remove(path: string): Promise<void> {
    await using file = await this.#open(path, {
      access: ['readAttributes', 'writeAttributes', 'delete'],
      share: everybody,
      reparsePoint: true,
    });
    try {
      await file.removeOnClose();
    } catch (error) {
      const { attributes } = await file.basicInfo();
      if ((attributes & fileAttributes.readOnly) === 0) throw error;
      await file.setBasicInfo({ attributes: attributes & ~fileAttributes.readOnly || fileAttributes.normal });
      await file.removeOnClose();
    }
  }

  async #removeAll(path: string, deadline: AbortSignal): Promise<void> {
    deadline.throwIfAborted();
    const info = await this.#lstatIfThere(path);
    if (info === undefined) return;
    if (isPlainDirectory(info)) {
      for (const { name } of await this.#list(path, deadline))
        await this.#removeAll(`${relativePath(path)}\\${name}`, deadline);
    }
    try {
      await this.#remove(path);
    } catch (error) {
      if (!isNotThere(error)) throw error;
    }
  }

  async #list(path: string | undefined, deadline: AbortSignal): Promise<DirectoryEntry[]> {
    // By a handle of its own, since a handle knows how far its list has been read.
    await using directory = await this.#open(path, { access: ['read'], share: everybody, directory: true });
    return await directory.list(deadline);
  }

  /** Has the directory open that a path is in, so that the last step to it is the kernel's alone. */
  async #useParent(path: string, work: (name: string, parent: bigint) => Promise<void>): Promise<void> {
    const plain = relativePath(path);
    const end = plain.lastIndexOf('\\');
    if (end < 0) return this.#handle.use((root) => work(plain, root));
    await using parent = await this.#open(plain.slice(0, end), {
      access: ['read'],
      share: everybody,
      directory: true,
    });
    await parent.use((handle) => work(plain.slice(end + 1), handle));
  }
}

/** STATUS_OBJECT_NAME_NOT_FOUND and STATUS_OBJECT_PATH_NOT_FOUND. */
const notThere = [0xc0000034, 0xc000003a];

const everybody = ['read', 'write', 'delete'] as const;

function isPlainDirectory({ attributes }: FileBasicInfo): boolean {
  const kind = attributes & (fileAttributes.directory | fileAttributes.reparsePoint);
  return kind === fileAttributes.directory;
}

function isNotThere(error: unknown): boolean {
  return error instanceof DllCallError && notThere.includes(error.status);
}

function noDirectory(path: string): HcsError {
  return new HcsError({
    action: `Cannot make it`,
    problem: `"${path}" is there already and is no directory`,
    code: 'ERROR_DIRECTORY',
  });
}
