import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HcsError } from '@hcsshim/schema';

export interface DirectoryKeyOptions {
  /** The directory is never changed once it is there, as a committed snapshot of containerd. @default false */
  immutable?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Names the content of a directory without reading its files.
 *
 * An immutable one is known by its inode and that of the directory that holds it, with the times of their birth: a path and an inode number come back after a snapshot is deleted, a time of birth does not, and no
 * program can set it. Where the file system keeps no time of birth, and for a directory that may change, the
 * whole tree is looked at: any change of a file's content, owner, mode or attributes moves its change time,
 * which no program can set either.
 */
export async function directoryKey(
  directory: string,
  { immutable = false, signal }: DirectoryKeyOptions = {},
): Promise<string> {
  const own = await lstat(directory, { bigint: true }).catch((cause: unknown) => {
    throw missing(directory, cause);
  });
  if (!own.isDirectory()) throw missing(directory, undefined);
  const hash = createHash('sha256');
  hash.update(identity(own));
  if (immutable && own.birthtimeNs > 0n) {
    const { dev, ino, birthtimeNs } = await lstat(dirname(directory), { bigint: true });
    hash.update([dev, ino, birthtimeNs].join(' '));
    return `snapshot-${hash.digest('hex')}`;
  }
  await hashTree(Buffer.from(directory), (text) => hash.update(text), signal);
  return `tree-${hash.digest('hex')}`;
}

async function hashTree(
  root: Buffer,
  add: (bytes: Buffer | string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const waiting = [root];
  for (let path = waiting.pop(); path; path = waiting.pop()) {
    signal?.throwIfAborted();
    for (const name of (await readdir(path, { encoding: 'buffer' })).sort(Buffer.compare)) {
      const child = Buffer.concat([path, Buffer.from('/'), name]);
      const stats = await lstat(child, { bigint: true });
      add(name);
      add(`\0${identity(stats)} ${stats.nlink} ${stats.rdev}\n`);
      if (stats.isDirectory()) waiting.push(child);
    }
    add('\n');
  }
}

function identity(stats: BigIntStats): string {
  const { dev, ino, mode, uid, gid, size, birthtimeNs, mtimeNs, ctimeNs } = stats;
  return [dev, ino, mode, uid, gid, size, birthtimeNs, mtimeNs, ctimeNs].join(' ');
}

function missing(directory: string, cause: unknown): HcsError {
  return new HcsError({
    action: `Cannot read layer "${directory}"`,
    problem: 'there is no such directory',
    code: 'ERROR_FILE_NOT_FOUND',
    cause,
  });
}
