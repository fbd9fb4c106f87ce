import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { type BackupReading, readBackup } from './backup-file.ts';
import { backupStreamIds, decodeFixedHeader, fixedHeaderBytes } from './backup-stream.ts';
import { isRecycleBin } from './base-layer-files.ts';
import type { FileBasicInfo } from './file-information.ts';
import type { LayerCallOptions } from './layer-call.ts';
import type { LayerDriver } from './layer-driver.ts';
import type { FoundEntry, LayerFiles, OpenedEntry } from './layer-files.ts';
import {
  attributesBytes,
  decodeAttributes,
  decodeTombstones,
  directoryDataName,
  filesFolder,
  hivesFolder,
  isBelow,
  isDirectoryData,
  maxTombstonesBytes,
  tombstonesFile,
} from './legacy-layer.ts';
import type { OpenFile } from './open-file.ts';
import type { RootDirectory } from './root-directory.ts';
import { TemporaryDirectory } from './temporary-directory.ts';
import { sortByName, walkDirectory } from './walk-directory.ts';

/** Bytes of a file that one call reads. */
const pieceBytes = 64 * 1024;

/** A layer with parents: it is exported to a folder of its own, in the form of `legacy-layer.ts`, and read there. */
export class ExportedLayerFiles implements LayerFiles {
  readonly #folder: TemporaryDirectory;
  readonly #dll: BackupReading;

  private constructor(folder: TemporaryDirectory, dll: BackupReading) {
    this.#folder = folder;
    this.#dll = dll;
  }

  static async export(
    path: string,
    parents: readonly string[],
    driver: Pick<LayerDriver, 'export'>,
    dll: BackupReading,
    options: LayerCallOptions,
  ): Promise<ExportedLayerFiles> {
    await using opened = new AsyncDisposableStack();
    const folder = opened.use(await TemporaryDirectory.create(options));
    await driver.export(path, folder.root.path, parents, options);
    opened.move();
    return new ExportedLayerFiles(folder, dll);
  }

  async *find(signal: AbortSignal): AsyncGenerator<FoundEntry, void> {
    const { root } = this.#folder;
    const deletions = await readDeletions(root, signal);
    const isLeftOut = (path: string) => isRecycleBin(path) || isDirectoryData(path);
    for (const { name } of sortByName(await root.list(undefined, { signal }))) {
      if (name === tombstonesFile || isDirectoryData(name)) continue;
      for await (const found of walkDirectory(root, name, { signal, isLeftOut })) {
        yield found;
        if (found.isDirectory) yield* deletions.takeFrom(found.path);
      }
    }
    yield* deletions.rest();
  }

  async open(found: FoundEntry, signal: AbortSignal): Promise<OpenedEntry> {
    await using opened = new AsyncDisposableStack();
    const open = async (path: string) =>
      opened.use(await this.#folder.root.open(path, { access: ['read'], reparsePoint: true, signal }));
    const entry = isBelow(found.path, filesFolder)
      ? await openFile(found, open, signal)
      : await this.#openPlain(found.path, await open(found.path), signal);
    opened.move();
    return entry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }

  /** Outside of `Files`, what is in the folder is the file itself. */
  async #openPlain(path: string, file: OpenFile, signal: AbortSignal): Promise<OpenedEntry> {
    const info = await file.basicInfo();
    // These two were made while the layer was imported or exported; the changes to the registry tell when it was.
    if (path === hivesFolder || path === filesFolder) {
      const { attributes: _, ...times } = await this.#folder.root.lstat(`${hivesFolder}\\System_Delta`, {
        signal,
      });
      Object.assign(info, times);
    }
    info.creationTime = info.lastWriteTime;
    info.lastAccessTime = info.lastWriteTime;
    return {
      file,
      info,
      size: await file.size(),
      bytes: readBackup(file, { security: false, dll: this.#dll }),
    };
  }
}

async function openFile(
  { path, isDirectory }: FoundEntry,
  open: (path: string) => Promise<OpenFile>,
  signal: AbortSignal,
): Promise<OpenedEntry> {
  const file = await open(isDirectory ? directoryDataName(path) : path);
  const info: FileBasicInfo = await file.basicInfo();
  const head = Buffer.alloc(attributesBytes);
  info.attributes = decodeAttributes(head.subarray(0, await file.read(head, 0n)));
  return {
    file,
    info,
    size: isDirectory ? 0n : await dataSize(file, signal),
    bytes: readFrom(file, BigInt(attributesBytes)),
  };
}

/** How long the data are, by the header before them. Throws ERROR_INVALID_DATA for a stream that is longer than the file. */
async function dataSize(file: OpenFile, signal: AbortSignal): Promise<bigint> {
  const end = await file.size();
  const head = Buffer.alloc(fixedHeaderBytes);
  for (let offset = BigInt(attributesBytes); offset < end; ) {
    signal.throwIfAborted();
    const length = await file.read(head, offset);
    const { id, size, nameBytes } = decodeFixedHeader(head.subarray(0, length));
    offset += BigInt(fixedHeaderBytes + nameBytes) + size;
    if (offset > end) throw tooLong(file.path, size);
    if (id === backupStreamIds.data) return size;
  }
  return 0n;
}

async function* readFrom(file: OpenFile, start: bigint): AsyncGenerator<Buffer, void> {
  for (let offset = start; ; ) {
    const buffer = Buffer.alloc(pieceBytes);
    const length = await file.read(buffer, offset);
    if (length === 0) return;
    offset += BigInt(length);
    yield buffer.subarray(0, length);
  }
}

/** What a layer deletes, by the folders that it is in. */
class Deletions {
  readonly #byFolder: Map<string, string[]>;

  constructor(paths: readonly string[]) {
    this.#byFolder = Map.groupBy(paths, (path) => win32.dirname(path).toLowerCase());
  }

  *takeFrom(folder: string): Generator<FoundEntry, void> {
    const key = folder.toLowerCase();
    for (const path of this.#byFolder.get(key) ?? []) yield { path, isDirectory: false, isDeletion: true };
    this.#byFolder.delete(key);
  }

  /** Those in folders that the layer does not have. */
  *rest(): Generator<FoundEntry, void> {
    for (const folder of this.#byFolder.keys()) yield* this.takeFrom(folder);
  }
}

async function readDeletions(root: RootDirectory, signal: AbortSignal): Promise<Deletions> {
  await using file = await root.open(tombstonesFile, { access: ['read'], signal });
  const size = await file.size();
  if (size > BigInt(maxTombstonesBytes)) throw tooLarge(size);
  const bytes = Buffer.alloc(Number(size));
  return new Deletions(decodeTombstones(bytes.subarray(0, await file.read(bytes, 0n))));
}

function tooLarge(size: bigint): HcsError {
  return new HcsError({
    action: `Cannot read ${tombstonesFile}`,
    problem: `it has ${size} bytes, more than ${maxTombstonesBytes}`,
    code: 'ERROR_INVALID_DATA',
  });
}

function tooLong(path: string, size: bigint): HcsError {
  return new HcsError({
    action: `Cannot read "${path}"`,
    problem: `a stream in it should have ${size} bytes, which the file does not have`,
    code: 'ERROR_INVALID_DATA',
  });
}
