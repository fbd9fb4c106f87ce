import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import type { SeekableOutput } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';
import { type Ext4Image, Ext4Writer, type Ext4WriterOptions, type NewFile } from './ext4-writer.ts';
import { blockSize, type FileAttributes, type FileType, fileTypeOf, timeFromNanoseconds } from './layout.ts';

export interface DirectoryToExt4Options extends Omit<Ext4WriterOptions, 'pathEncoding' | 'followSymlinks'> {
  /**
   * Tells a file's extended attributes, by byte string; Node has no call for it. A symlink's are its own.
   * @default none are taken over
   */
  readXattrs?: (path: Buffer) => ReadonlyMap<string, Uint8Array>;
  signal?: AbortSignal | undefined;
}

/** Others have their turn after so many bytes or files. */
const turnBytes = 16 << 20;
const turnFiles = 1000;
const chunkSize = 1 << 20;

/**
 * Writes a directory of this machine as an ext4 file system: owners, modes, times of modification (which become all
 * times), hard links, devices, holes. In the order of names, so that equal directories make equal bytes. Sockets are
 * left out, as archivers do.
 */
export async function directoryToExt4(
  directory: string,
  output: SeekableOutput,
  options: DirectoryToExt4Options = {},
): Promise<Ext4Image> {
  const writer = new Ext4Writer(output, { ...options, pathEncoding: 'latin1' });
  const copier = new DirectoryCopier(directory, writer, options);
  for (const _ of copier.copy()) {
    options.signal?.throwIfAborted();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return writer.finish();
}

class DirectoryCopier {
  readonly #root: Buffer;
  readonly #writer: Ext4Writer;
  readonly #readXattrs: DirectoryToExt4Options['readXattrs'];
  /** Where a file with several names was put first, by device and inode. */
  readonly #linked = new Map<string, string>();
  readonly #chunk = Buffer.allocUnsafeSlow(chunkSize);

  constructor(directory: string, writer: Ext4Writer, { readXattrs }: DirectoryToExt4Options) {
    this.#root = Buffer.from(directory);
    this.#writer = writer;
    this.#readXattrs = readXattrs;
  }

  /** Stops at times, to let others have their turn. */
  *copy(): Generator<void, void, undefined> {
    const waiting = [''];
    const rootStats = lstatSync(this.#root, { bigint: true, throwIfNoEntry: false });
    if (!rootStats?.isDirectory()) {
      throw new Ext4Error(
        'FILE_NOT_FOUND',
        `Cannot read directory "${this.#root}": there is no such directory`,
      );
    }
    this.#writer.create('', { ...this.#attributes(this.#root, rootStats), type: 'directory' });
    let files = 0;
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      const names = readdirSync(this.#host(path), { encoding: 'buffer' }).map((name) =>
        name.toString('latin1'),
      );
      for (const name of names.sort()) {
        const child = path === '' ? name : `${path}/${name}`;
        const host = this.#host(child);
        const stats = lstatSync(host, { bigint: true });
        if (stats.isDirectory()) waiting.push(child);
        yield* this.#add(child, host, stats);
        if (++files % turnFiles === 0) yield;
      }
    }
  }

  *#add(path: string, host: Buffer, stats: BigIntStats): Generator<void, void, undefined> {
    const type = fileTypeOf(Number(stats.mode)) as FileType;
    if (type === 'socket') return;
    if (type !== 'directory' && stats.nlink > 1n) {
      const identity = `${stats.dev}:${stats.ino}`;
      const first = this.#linked.get(identity);
      if (first !== undefined) {
        this.#writer.link(first, path);
        return;
      }
      this.#linked.set(identity, path);
    }
    this.#writer.create(path, this.#file(type, host, stats));
    if (type === 'file') yield* this.#content(host, Number(stats.size), stats.blocks * 512n < stats.size);
  }

  #file(type: Exclude<FileType, 'socket'>, host: Buffer, stats: BigIntStats): NewFile {
    const attributes = this.#attributes(host, stats);
    switch (type) {
      case 'file':
        return { ...attributes, type, size: Number(stats.size) };
      case 'symlink':
        return { ...attributes, type, target: readlinkSync(host, { encoding: 'buffer' }).toString('latin1') };
      case 'character':
      case 'block':
        return { ...attributes, type, ...deviceNumber(stats.rdev) };
      default:
        return { ...attributes, type };
    }
  }

  #attributes(host: Buffer, stats: BigIntStats): Partial<FileAttributes> {
    return {
      mode: Number(stats.mode) & 0o7777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      modified: timeFromNanoseconds(stats.mtimeNs),
      ...(this.#readXattrs ? { xattrs: this.#readXattrs(host) } : {}),
    };
  }

  /** A file that takes less place than its size has holes: blocks of zeros become such again. */
  *#content(host: Buffer, size: number, sparse: boolean): Generator<void, void, undefined> {
    if (size === 0) return;
    const fd = openSync(host, 'r');
    try {
      let sinceTurn = 0;
      for (let left = size; left > 0; ) {
        const count = readSync(fd, this.#chunk, 0, Math.min(chunkSize, left), size - left);
        if (count === 0) {
          throw new Ext4Error(
            'WROTE_TOO_LITTLE',
            `Cannot read "${host}": it became shorter than its ${size} bytes`,
          );
        }
        const part = this.#chunk.subarray(0, count);
        if (sparse) this.#writeSparse(part);
        else this.#writer.write(part);
        left -= count;
        sinceTurn += count;
        if (sinceTurn < turnBytes) continue;
        sinceTurn = 0;
        yield;
      }
    } finally {
      closeSync(fd);
    }
  }

  #writeSparse(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += blockSize) {
      const block = bytes.subarray(at, at + blockSize);
      if (zeros.subarray(0, block.length).equals(block)) this.#writer.skip(block.length);
      else this.#writer.write(block);
    }
  }

  #host(path: string): Buffer {
    return path === '' ? this.#root : Buffer.concat([this.#root, slash, Buffer.from(path, 'latin1')]);
  }
}

const slash = Buffer.from('/');
const zeros = Buffer.alloc(blockSize);

/** As the C library puts the two together (`sys/sysmacros.h`). */
function deviceNumber(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}
