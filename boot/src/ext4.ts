import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import type { FileTree, TreeEntry } from './file-tree.ts';
import { runHostTool } from './host-tool.ts';

export interface Ext4Options {
  tree: FileTree;
  /** The image to make. */
  output: string;
  /** Of the image, in bytes. @default what the tree needs, to the next MiB */
  sizeBytes?: number;
  uuid: string;
  hashSeed: string;
  label: string;
  signal?: AbortSignal | undefined;
}

const blockSize = 4096;
const inodeSize = 256;
const mebibyte = 2 ** 20;

/**
 * Without a journal, which a disk that is only read has no use for, and without checksums, which the guest
 * would compute at every read of metadata.
 */
const features = '^has_journal,^metadata_csum,^64bit,^resize_inode';

const fileTypeBits: Partial<Record<TreeEntry['type'], number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
};

/**
 * Writes the tree as an ext4 file system into a raw image and returns the image's size. All times are 0 and
 * files are made in the order of their names, so the same tree makes the same bytes. Needs no root.
 */
export async function makeExt4(options: Ext4Options): Promise<number> {
  const { tree, output, uuid, hashSeed, label, signal } = options;
  const action = `Cannot make the root disk "${output}"`;
  // e2fsprogs stamps with this time in place of the clock's; 0 would mean the clock.
  const env = { E2FSPROGS_FAKE_TIME: '1' };
  const size = options.sizeBytes ?? neededSize(tree);
  const inodes = tree.sorted().length + 32;
  await writeFile(output, '');
  await runHostTool(
    'mke2fs',
    [
      ...['-q', '-F', '-t', 'ext4', '-b', `${blockSize}`, '-I', `${inodeSize}`, '-N', `${inodes}`, '-m', '0'],
      ...['-O', features, '-U', uuid, '-L', label],
      ...['-E', `hash_seed=${hashSeed},root_owner=0:0,lazy_itable_init=0,nodiscard`],
      ...[output, `${size / 1024}k`],
    ],
    { action, env, signal },
  );
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-ext4-'));
  try {
    await writeFile(join(directory, 'commands'), await fillCommands(tree, directory));
    await runHostTool('debugfs', ['-w', '-f', join(directory, 'commands'), output], {
      action,
      env,
      signal,
      // Its banner. It ends with 0 whatever happens.
      harmlessComplaint: /^debugfs \d/,
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return size;
}

/** debugfs makes names in its current folder only, hence a `cd` before each. */
async function fillCommands(tree: FileTree, directory: string): Promise<string> {
  const commands: string[] = [];
  const run = (command: string, ...args: string[]): void => {
    commands.push([command, ...args.map(quoted)].join(' '));
  };
  const links: [string, string][] = [];
  for (const [index, [path, entry]] of tree.sorted().entries()) {
    const name = posix.basename(path);
    if (entry.type === 'link') {
      links.push([path, entry.target]);
      continue;
    }
    run('cd', `/${posix.dirname(path)}`);
    if (entry.type === 'directory') run('mkdir', name);
    else if (entry.type === 'symlink') run('symlink', name, entry.target);
    else if (entry.type === 'fifo') run('mknod', name, 'p');
    else if (entry.type === 'file') {
      const content = join(directory, `${index}`);
      await writeFile(content, entry.content);
      run('write', content, name);
    } else run('mknod', name, entry.type === 'character' ? 'c' : 'b', `${entry.major}`, `${entry.minor}`);
    const type = fileTypeBits[entry.type];
    if (type !== undefined) run('set_inode_field', name, 'mode', `0${(type | entry.mode).toString(8)}`);
    if (entry.uid !== 0) run('set_inode_field', name, 'uid', `${entry.uid}`);
    if (entry.gid !== 0) run('set_inode_field', name, 'gid', `${entry.gid}`);
  }
  const names = new Map<string, number>();
  for (const [path, target] of links) {
    run('cd', '/');
    run('link', target, path);
    names.set(target, (names.get(target) ?? 1) + 1);
  }
  for (const [target, count] of names) run('set_inode_field', `/${target}`, 'links_count', `${count}`);
  return `${commands.join('\n')}\n`;
}

function quoted(word: string): string {
  return `"${word.replaceAll('"', '""')}"`;
}

function neededSize(tree: FileTree): number {
  const entries = tree.sorted();
  let bytes = (entries.length + 32) * inodeSize;
  for (const [, entry] of entries) {
    bytes += Math.ceil((entry.type === 'file' ? entry.content.length : blockSize) / blockSize) * blockSize;
  }
  // Bitmaps, descriptors, copies of the superblock, extent trees: under 2 % of the whole.
  return Math.ceil((bytes * 1.02 + 2 * mebibyte) / mebibyte) * mebibyte;
}
