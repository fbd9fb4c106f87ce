import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BackupStreamDecoder, backupStreamIds, encodeBackupStreamHeader } from '@hcsshim/storage/windows';

const directoryData = '.$wcidirs$';

/**
 * As much of what Windows' layer driver does with files as a reader and a writer of layers see, and no more: an import lays a folder in
 * the exchange form over what the parents have; an export writes that folder again, with what has come and gone in the layer since. The
 * stand-in for vmcompute.dll keeps layers in memory and touches no file.
 */
export class FolderLayerDriver {
  readonly calls: string[] = [];
  /** Folders as they were imported, by the layers' paths. */
  readonly #imported = new Map<string, string>();
  readonly #store: string;

  /** @param store A folder for what was imported. */
  constructor(store: string) {
    this.#store = store;
  }

  async processBaseLayer(path: string): Promise<void> {
    this.calls.push(`processBaseLayer ${path}`);
  }

  async processUtilityVmImage(path: string): Promise<void> {
    this.calls.push(`processUtilityVmImage ${path}`);
  }

  async import(path: string, folder: string, parents: readonly string[]): Promise<void> {
    this.calls.push(`import ${path}`);
    const kept = join(this.#store, String(this.#imported.size));
    cpSync(folder, kept, { recursive: true, preserveTimestamps: true });
    this.#imported.set(path, kept);
    for (const parent of parents.toReversed())
      cpSync(join(parent, 'Files'), join(path, 'Files'), { recursive: true, force: true });
    for (const name of filesBelow(folder)) {
      if (name.endsWith(directoryData)) mkdirSync(join(path, withoutSuffix(name)), { recursive: true });
    }
    for (const name of filesBelow(folder)) {
      if (name.endsWith(directoryData)) continue;
      const bytes = readFileSync(join(folder, name));
      writeFileSync(join(path, name), name.startsWith('Files\\') ? dataOf(bytes.subarray(4)) : bytes);
    }
  }

  async export(path: string, folder: string, parents: readonly string[]): Promise<void> {
    this.calls.push(`export ${path}`);
    const imported = this.#imported.get(path);
    if (imported === undefined) throw new Error(`"${path}" was not imported`);
    cpSync(imported, folder, { recursive: true, preserveTimestamps: true });
    const inParents = new Set(parents.flatMap((parent) => filesBelow(join(parent, 'Files'))));
    const here = new Set(filesBelow(join(path, 'Files')));
    for (const name of here) {
      const target = join(folder, 'Files', name);
      if (inParents.has(name) || existsSync(target)) continue;
      const data = readFileSync(join(path, 'Files', name));
      const header = encodeBackupStreamHeader({
        id: backupStreamIds.data,
        attributes: 0,
        size: BigInt(data.length),
        name: '',
      });
      writeFileSync(target, Buffer.concat([Buffer.from([0x20, 0, 0, 0]), header, data]));
      const { atime, mtime } = statSync(join(path, 'Files', name));
      utimesSync(target, atime, mtime);
    }
    const gone = [...inParents].filter((name) => !here.has(name)).map((name) => `\\${name}\r\n`);
    writeFileSync(join(folder, 'tombstones.txt'), `\ufeffVersion 1.0\r\n${gone.join('')}`);
    for (const name of gone.length > 0 ? ['$Recycle.Bin'] : []) {
      mkdirSync(join(folder, 'Files', name), { recursive: true });
      writeFileSync(join(folder, 'Files', name, 'thrown away'), '');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const kept of this.#imported.values()) rmSync(kept, { recursive: true });
  }
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function withoutSuffix(name: string): string {
  return name.slice(0, -directoryData.length);
}

/** The data in a backup stream. */
function dataOf(stream: Buffer): Buffer {
  const pieces: Uint8Array[] = [];
  let isData = false;
  for (const part of new BackupStreamDecoder().decode(stream)) {
    if (part instanceof Uint8Array) {
      if (isData) pieces.push(part);
    } else {
      isData = part.id === backupStreamIds.data;
    }
  }
  return Buffer.concat(pieces);
}
