import { randomUUID } from 'node:crypto';
import { lstat, open, rename, rm, writeFile } from 'node:fs/promises';
import { Ext4Census, type PreciseTime, takeCensus } from './ext4-census.ts';
import { debugfsWord, Ext4FullError, editExt4, formatExt4, inodeTime } from './ext4-format.ts';
import { appendVhdFooter } from './vhd.ts';

export interface ImageTarget {
  /** The file to make. It appears when it is complete; a file that is there is replaced. */
  output: string;
  /** Size of the file system, a multiple of 4096. @default what the tree needs */
  size?: number;
  /** At most 16 bytes. */
  label?: string;
  /** A GUID. @default random */
  uuid?: string;
  /** The time written into the file system itself, seconds from the Unix epoch. @default now */
  time?: number;
  signal?: AbortSignal | undefined;
}

export interface Ext4ImageOptions extends ImageTarget {
  /** The tree that becomes the file system's root. @default an empty file system */
  directory?: string;
}

/** How often a tree that did not fit is tried again with more room. */
const attempts = 5;

/**
 * Makes a fixed VHD with ext4 of a directory tree: owners, modes, times to the nanosecond, hard links, devices,
 * extended attributes and with them overlayfs's whiteouts and opaque directories. Without root, only what the
 * caller may read, and no `trusted.*` attributes. Stands on mke2fs until this project writes ext4 itself.
 */
export async function createExt4Image(options: Ext4ImageOptions): Promise<void> {
  const { directory, signal } = options;
  if (directory === undefined) {
    await makeImage(options, new Ext4Census(), formatExt4);
    return;
  }
  const { census, preciseTimes } = await takeCensus(directory, { signal });
  const root = await rootCommands(directory);
  await makeImage(options, census, async (path, format) => {
    await formatExt4(path, { ...format, directory });
    await runCommands(path, [...root, ...preciseTimes.flatMap(timeCommands)], { signal, time: options.time });
  });
}

interface Format {
  bytes: number;
  inodes?: number;
  label?: string;
  uuid?: string;
  time?: number;
  signal: AbortSignal | undefined;
}

/**
 * Lets `fill` make a file system of the size that the census says, larger when that proves too small, and puts
 * it in place when it is complete and on disk.
 */
export async function makeImage(
  target: ImageTarget,
  census: Ext4Census,
  fill: (path: string, format: Format) => Promise<void>,
): Promise<void> {
  const { output, size, signal } = target;
  const temporary = `${output}.${randomUUID()}.tmp`;
  try {
    for (let attempt = 0; ; attempt++) {
      const measured = census.dimensions(1.5 ** attempt);
      const format = {
        bytes: size ?? measured.bytes,
        ...(size === undefined ? { inodes: measured.inodes } : {}),
        ...(target.label === undefined ? {} : { label: target.label }),
        ...(target.uuid === undefined ? {} : { uuid: target.uuid }),
        ...(target.time === undefined ? {} : { time: target.time }),
        signal,
      };
      try {
        await fill(temporary, format);
        break;
      } catch (error) {
        if (!(error instanceof Ext4FullError) || size !== undefined || attempt + 1 === attempts) throw error;
        await rm(temporary, { force: true });
      }
    }
    {
      await using file = await open(temporary, 'r+');
      await appendVhdFooter(file, idOf(target.uuid ?? randomUUID()));
      await file.datasync();
    }
    signal?.throwIfAborted();
    await rename(temporary, output);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Runs debugfs commands on an image, by way of a file beside it. */
export async function runCommands(
  path: string,
  commands: readonly string[],
  options: { signal?: AbortSignal | undefined; time?: number | undefined },
): Promise<void> {
  const script = `${path}.commands`;
  try {
    await writeFile(script, `${commands.join('\n')}\n`, { encoding: 'latin1', mode: 0o600 });
    await editExt4(path, script, options);
  } finally {
    await rm(script, { force: true });
  }
}

/** `lost+found` would show in a container; and mke2fs leaves the root's own attributes at their defaults. */
async function rootCommands(directory: string): Promise<string[]> {
  const { mode, uid, gid, mtimeNs } = await lstat(directory, { bigint: true });
  return [
    'rmdir lost+found',
    `sif / mode 0${mode.toString(8)}`,
    `sif / uid ${uid}`,
    `sif / gid ${gid}`,
    ...timeCommands({ path: Buffer.from('/'), modified: mtimeNs }),
  ];
}

function timeCommands({ path, modified }: PreciseTime): string[] {
  const word = debugfsWord(path);
  // A name with a line break keeps its time to the second.
  if (word === undefined) return [];
  const { seconds, extra } = inodeTime(modified);
  return [`sif ${word} mtime ${seconds}`, `sif ${word} mtime_extra ${extra}`];
}

function idOf(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}
