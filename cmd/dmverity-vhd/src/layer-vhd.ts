import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  appendVhdFooter,
  FileInput,
  FileOutput,
  tarToExt4,
  verityRootHash,
  writeVerityTree,
} from '@hcsshim/ext4';
import { OutputFile, ProgressBar, systemProblem } from '@hcsshim/program';
import { layerFileSystem } from '@hcsshim/storage';
import { namedId } from './named-id.ts';

/** A layer on its way to a disk. */
export interface LayerArchive {
  /** For the user: `layer 0`. */
  label: string;
  archive: AsyncIterable<Uint8Array>;
  /** What the ids in the disk are derived from. Asked for when the archive has been read. */
  identity(): string;
  signal: AbortSignal;
}

export interface LayerVhdOptions {
  output: string;
  /** Where the hash device goes, as a VHD of its own. @default behind the file system, in the same VHD */
  hashDevice?: string | undefined;
}

/** More than any image has; each takes memory until its layer is done. */
const mostEntries = 10_000_000;

/**
 * Writes a layer as a VHD: the file system, its dm-verity hash device (superblock and tree), the footer. Returns the
 * root hash, in hexadecimal. The files have their names when they are complete.
 */
export async function createLayerVhd(
  layer: LayerArchive,
  { output, hashDevice }: LayerVhdOptions,
): Promise<string> {
  const { signal } = layer;
  using disk = new OutputFile(output);
  using separate = hashDevice === undefined ? undefined : new OutputFile(hashDevice);
  const rootHash = await writing(output, async () => {
    const size = await convert(layer, disk.fd);
    const identity = layer.identity();
    const uuid = Buffer.from(namedId('dm-verity', identity)).toString('hex');
    const [target, offset] = separate ? [separate.fd, 0] : [disk.fd, size];
    const tree = await writeVerityTree(new FileInput(disk.fd), size, new FileOutput(target), offset, {
      uuid,
      signal,
    });
    const end = offset + tree.size;
    if (separate) {
      appendVhdFooter(new FileOutput(separate.fd), { size: end, id: namedId('hash-dev.vhd', identity) });
    }
    const diskSize = separate ? size : end;
    appendVhdFooter(new FileOutput(disk.fd), { size: diskSize, id: namedId('vhd', identity) });
    return tree.rootHash;
  });
  separate?.complete();
  disk.complete();
  return Buffer.from(rootHash).toString('hex');
}

/** The root hash that the layer's VHD has, in hexadecimal. Writes a file without a name in the meantime. */
export async function layerRootHash(layer: LayerArchive): Promise<string> {
  const path = join(tmpdir(), `.${randomUUID()}.unfinished`);
  const rootHash = await writing(path, async () => {
    const fd = openSync(path, 'wx+', 0o600);
    try {
      unlinkSync(path);
      const size = await convert(layer, fd);
      return await verityRootHash(new FileInput(fd), size, { signal: layer.signal });
    } finally {
      closeSync(fd);
    }
  });
  return Buffer.from(rootHash).toString('hex');
}

/** Returns the size of the file system. */
async function convert({ label, archive, signal }: LayerArchive, fd: number): Promise<number> {
  const { size } = await tarToExt4(observed(label, archive), new FileOutput(fd), {
    ...layerFileSystem,
    limits: { entries: mostEntries },
    signal,
  });
  return size;
}

async function* observed(
  label: string,
  archive: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  using progress = new ProgressBar(label, undefined);
  for await (const chunk of archive) {
    progress.add(chunk.length);
    yield chunk;
  }
}

/** Says in errors of the system what was written. */
async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { syscall } = cause as NodeJS.ErrnoException;
    if (syscall === undefined || syscall === 'read') throw cause;
    throw new Error(`Cannot write "${path}": ${systemProblem(cause)}`, { cause });
  }
}
