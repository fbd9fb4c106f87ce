import { execFile } from 'node:child_process';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { encodeVhdFooter } from './vhd.ts';

export interface Ext4ImageOptions {
  /** The file to make: ext4, then a fixed VHD's footer. It appears whole or not at all. */
  output: string;
  /** The tree to fill it with, overlay whiteouts and opaque attributes included. @default an empty file system */
  directory?: string;
  /** Bytes, a multiple of 4096. @default as much as the tree needs */
  size?: number;
  /** Keeps the bytes the same from one run to the next, together with `time`. @default random */
  uuid?: string;
  /** Seconds since 1970 for the file system's own timestamps. @default now */
  time?: number;
  label?: string;
  signal?: AbortSignal;
}

const blockSize = 4096;
/** `EXT2_FILSYS_MINIMUM` plus room for group descriptors and bitmaps, generously. */
const fixedBlocks = 256;
const inodeSize = 256;

/**
 * Makes an ext4 image in a fixed VHD. Stands on mke2fs (Debian's e2fsprogs) until the project's own writer takes
 * its place behind this function. As root it keeps owners, devices and `trusted.*` attributes.
 */
export async function createExt4Image(options: Ext4ImageOptions): Promise<void> {
  const { directory, output, signal } = options;
  const tree = directory === undefined ? { blocks: 0, inodes: 0 } : await measure(directory, signal);
  const inodes = tree.inodes + 16;
  const needed = tree.blocks + Math.ceil((inodes * inodeSize) / blockSize) + fixedBlocks;
  const partial = `${output}.${process.pid}.partial`;
  try {
    for (const slack of options.size === undefined ? [1.02, 1.3, 2] : [1]) {
      const size = options.size ?? Math.ceil(needed * slack) * blockSize;
      await using file = await open(partial, 'w');
      await file.truncate(size);
      const failure = await makeFileSystem(partial, options, inodes);
      if (failure === undefined) {
        await file.write(encodeVhdFooter(size, options.uuid ?? ''), 0, undefined, size);
        await rename(partial, output);
        return;
      }
      // The estimate knows nothing of attribute blocks and deep directories: try again with more room.
      if (!/no space|allocate block|out of/i.test(failure) || slack === 2) {
        throw new Error(`Cannot make an ext4 image of "${directory ?? 'nothing'}": mke2fs says: ${failure}`);
      }
    }
    throw new Error(
      `Cannot make an ext4 image of "${directory ?? 'nothing'}": ${options.size} bytes are too few`,
    );
  } finally {
    await rm(partial, { force: true });
  }
}

/** Undefined when it worked, else what mke2fs said. */
async function makeFileSystem(
  path: string,
  options: Ext4ImageOptions,
  inodes: number,
): Promise<string | undefined> {
  const args = [
    ...['-q', '-F', '-t', 'ext4', '-b', String(blockSize), '-I', String(inodeSize), '-m', '0'],
    // Nobody writes to a layer while it is mounted, and a scratch disk does not survive a crash: no journal.
    ...['-O', '^has_journal,^resize_inode,^orphan_file,sparse_super2'],
    ...[
      '-E',
      `nodiscard,lazy_itable_init=1,packed_meta_blocks=1${options.uuid ? `,hash_seed=${options.uuid}` : ''}`,
    ],
    ...(options.directory === undefined
      ? ['-i', '65536', '-G', '256']
      : ['-N', String(inodes), '-d', options.directory]),
    ...(options.uuid === undefined ? [] : ['-U', options.uuid]),
    ...(options.label === undefined ? [] : ['-L', options.label]),
    path,
  ];
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  execFile(
    'mke2fs',
    args,
    {
      env: {
        ...process.env,
        PATH: [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter),
        ...(options.time === undefined
          ? {}
          : { E2FSPROGS_FAKE_TIME: String(options.time), SOURCE_DATE_EPOCH: String(options.time) }),
      },
      ...(options.signal ? { signal: options.signal } : {}),
    },
    (error, _stdout, stderr) => {
      if (!error) resolve(undefined);
      else if (options.signal?.aborted) reject(options.signal.reason);
      else if (error.code === 'ENOENT') {
        reject(
          new Error('Cannot make an ext4 image: mke2fs is missing, install the Debian package "e2fsprogs"'),
        );
      } else resolve(stderr.trim() || error.message);
    },
  );
  return promise;
}

/** Blocks and inodes that a tree takes. Hard links are counted once. */
async function measure(
  directory: string,
  signal: AbortSignal | undefined,
): Promise<{ blocks: number; inodes: number }> {
  const seen = new Set<string>();
  const total = { blocks: 0, inodes: 0 };
  const pending = [directory];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    signal?.throwIfAborted();
    const names = await readdir(folder, { withFileTypes: true });
    const nameBytes = names.reduce(
      (sum, { name }) => sum + 8 + Math.ceil((Buffer.byteLength(name) + 3) / 4) * 4,
      0,
    );
    total.inodes++;
    total.blocks += 1 + Math.ceil((nameBytes * 1.4) / blockSize);
    for (const entry of names) {
      const path = join(folder as string, entry.name);
      if (entry.isDirectory()) {
        pending.push(path);
        continue;
      }
      const { dev, ino, nlink, size } = await lstat(path);
      if (nlink > 1) {
        const key = `${dev}:${ino}`;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      total.inodes++;
      // One more for an attribute block or a block of extents.
      if (entry.isFile() || size > 59)
        total.blocks += Math.ceil(size / blockSize) + (size > 4 * 2 ** 20 ? 1 : 0);
    }
  }
  return total;
}
