import { lstat, readdir } from 'node:fs/promises';
import { HcsError } from '@hcsshim/schema';

export const blockSize = 4096;
const blocksPerGroup = 32768;
const inodeSize = 256;
/** The file system's own: the first eleven, of which one is the root, and `lost+found`. */
const reservedInodes = 12;
/** An inode has room for about this much beside its own fields. */
const attributesInInode = 96;

/** Counts what a tree will take as ext4, so that its disk can be made to measure. */
export class Ext4Census {
  #inodes = 0;
  #blocks = 0;

  file(bytes: number): void {
    const blocks = Math.ceil(bytes / blockSize);
    // Four extents fit into the inode, each of up to 128 MiB; beyond that there are index blocks.
    const indexBlocks = blocks > 4 * blocksPerGroup ? Math.ceil(blocks / blocksPerGroup / 340) + 1 : 0;
    this.#inodes++;
    this.#blocks += blocks + indexBlocks;
  }

  /** `entryNames` are the lengths in bytes of the names in it. */
  directory(entryNames: Iterable<number>): void {
    let bytes = 24;
    for (const length of entryNames) bytes += 8 + Math.ceil(length / 4) * 4;
    this.#inodes++;
    // Entries do not cross blocks, and an index may come on top.
    this.#blocks += Math.ceil(bytes / (blockSize - 264)) + (bytes > blockSize ? 1 : 0);
  }

  symlink(targetLength: number): void {
    this.#inodes++;
    if (targetLength >= 60) this.#blocks++;
  }

  /** A device, a pipe or a socket. */
  special(): void {
    this.#inodes++;
  }

  attributes(bytes: number): void {
    if (bytes > attributesInInode) this.#blocks++;
  }

  /** Size of a file system that holds all of it. `slack` is a factor for what could not be counted. */
  dimensions(slack = 1): { bytes: number; inodes: number } {
    const inodes = this.#inodes + reservedInodes;
    const data = Math.ceil((this.#blocks + 64) * 1.02 * slack);
    const inodeBlocks = Math.ceil((inodes * inodeSize) / blockSize);
    const groups = Math.ceil((data + inodeBlocks) / (blocksPerGroup - 2)) + 1;
    // Per group two bitmaps and the rounding of its share of inodes.
    const blocks = data + inodeBlocks + groups * 4 + Math.ceil((groups * 32) / blockSize);
    return { bytes: blocks * blockSize, inodes };
  }
}

/** A file whose time ext4 tools of this age do not carry over in full. */
export interface PreciseTime {
  /** Path below the root, as bytes. */
  path: Buffer;
  /** Nanoseconds from the epoch. */
  modified: bigint;
}

export interface DirectoryCensus {
  census: Ext4Census;
  preciseTimes: PreciseTime[];
}

/** Looks at a whole directory tree, without following links. Names may be any bytes. */
export async function takeCensus(
  directory: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<DirectoryCensus> {
  const census = new Ext4Census();
  const preciseTimes: PreciseTime[] = [];
  const linked = new Set<string>();
  const root = Buffer.from(directory);
  const waiting: Buffer[] = [Buffer.alloc(0)];
  for (let path = waiting.pop(); path; path = waiting.pop()) {
    signal?.throwIfAborted();
    const names = await readdir(Buffer.concat([root, path]), { encoding: 'buffer' }).catch(
      (cause: unknown) => {
        throw unreadable(directory, cause);
      },
    );
    census.directory(names.map(({ length }) => length));
    for (const name of names) {
      const child = Buffer.concat([path, Buffer.from('/'), name]);
      const stats = await lstat(Buffer.concat([root, child]), { bigint: true });
      if (
        stats.mtimeNs % 1_000_000_000n !== 0n ||
        BigInt.asIntN(32, stats.mtimeNs / 1_000_000_000n) !== stats.mtimeNs / 1_000_000_000n
      ) {
        preciseTimes.push({ path: child, modified: stats.mtimeNs });
      }
      if (stats.isDirectory()) {
        waiting.push(child);
        continue;
      }
      if (stats.nlink > 1n) {
        const identity = `${stats.dev}:${stats.ino}`;
        if (linked.has(identity)) continue;
        linked.add(identity);
      }
      if (stats.isFile()) census.file(Math.min(Number(stats.size), Number(stats.blocks) * 512 + blockSize));
      else if (stats.isSymbolicLink()) census.symlink(Number(stats.size));
      else census.special();
    }
  }
  return { census, preciseTimes };
}

function unreadable(directory: string, cause: unknown): HcsError {
  const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  return new HcsError({
    action: `Cannot read directory "${directory}"`,
    problem: missing ? 'there is no such directory' : (cause as Error).message,
    code: missing ? 'ERROR_FILE_NOT_FOUND' : 'E_FAIL',
    cause,
  });
}
