import { createWriteStream, writeFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HcsError } from '@hcsshim/schema';
import { Ext4Census } from '../ext4-census.ts';
import { debugfsWord, formatExt4, inodeTime } from '../ext4-format.ts';
import { makeImage, runCommands } from '../ext4-image.ts';
import { type LayerLimits, type LayerNode, LayerTree, type NodeAttributes } from './layer-tree.ts';
import { readTar, type TarEntry } from './tar-reader.ts';

export interface LayerDiskOptions extends LayerLimits {
  /** An uncompressed tar archive. */
  archive: AsyncIterable<Uint8Array>;
  /** The file to make, a fixed VHD. It appears when it is complete. */
  output: string;
  /** All content together. @default 64 GiB */
  bytes?: number;
  signal?: AbortSignal | undefined;
}

const defaultBytes = 64 * 1024 ** 3;
/** A file up to this size is written in one call, which takes less time than to wait for it. */
const smallFile = 64 * 1024;

/**
 * Makes an ext4 disk of a layer's archive. Needs no privilege, whatever owners and devices the layer has, because
 * nothing is made on the host but files of content under names of our own.
 */
export async function createLayerDisk(options: LayerDiskOptions): Promise<void> {
  const { output, signal } = options;
  const staging = `${output}.content`;
  try {
    await mkdir(staging, { recursive: true, mode: 0o700 });
    const tree = await unpack(staging, options);
    const census = new Ext4Census();
    const commands = await fillCommands(tree, staging, census);
    await makeImage({ output, label: 'layer', signal }, census, async (path, format) => {
      await formatExt4(path, format);
      await runCommands(path, commands, { signal });
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function unpack(staging: string, options: LayerDiskOptions): Promise<LayerTree> {
  const { archive, bytes: most = defaultBytes, signal } = options;
  const tree = new LayerTree(options);
  const empty = join(staging, 'empty');
  await writeFile(empty, '');
  let bytes = 0;
  let files = 0;
  for await (const entry of readTar(archive)) {
    signal?.throwIfAborted();
    bytes += entry.size;
    if (bytes > most) {
      throw new HcsError({
        action: 'Cannot unpack the layer',
        problem: `it holds more than ${most} bytes`,
        code: 'HCS_E_INVALID_LAYER',
      });
    }
    let content = empty;
    if (entry.type === 'file' && entry.size > 0) {
      content = join(staging, String(files++));
      if (entry.size <= smallFile) writeFileSync(content, await collect(entry), { flag: 'wx', mode: 0o600 });
      else
        await pipeline(
          entry.content,
          createWriteStream(content, { flags: 'wx', mode: 0o600 }),
          signal ? { signal } : {},
        );
    }
    tree.add(entry, content);
  }
  return tree;
}

async function collect({ content, size }: TarEntry): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let filled = 0;
  for await (const chunk of content) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}

/** File types in an inode's mode (`sys/stat.h`). */
const typeBits = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
} as const;

/** debugfs reads its commands in lines of this many bytes. */
const longestCommand = 8000;

/** What debugfs has to do to an empty file system, and the count of what that takes. */
async function fillCommands(tree: LayerTree, staging: string, census: Ext4Census): Promise<string[]> {
  const commands: string[] = ['rmdir lost+found'];
  /** Where a file was made first, and how many names it has. */
  const made = new Map<LayerNode, { path: string; names: number }>();
  let values = 0;

  const describe = async (path: string, node: LayerNode): Promise<void> => {
    for (const [name, value] of node.extended) {
      const file = join(staging, `value-${values++}`);
      await writeFile(file, value);
      census.attributes(name.length + value.length);
      commands.push(`ea_set -f ${word(file)} ${word(path)} ${word(name)}`);
    }
    commands.push(...attributeCommands(word(path), node));
  };
  const fill = async (path: string, children: ReadonlyMap<string, LayerNode>): Promise<void> => {
    census.directory([...children.keys()].map(({ length }) => length));
    commands.push(`cd ${word(path || '/')}`);
    const entries = [...children];
    for (const [name, node] of entries) {
      const own = made.get(node);
      if (own) {
        own.names++;
        commands.push(`ln ${word(own.path)} ${word(name)}`);
        continue;
      }
      if (node.kind !== 'directory') made.set(node, { path: `${path}/${name}`, names: 1 });
      commands.push(makeCommand(name, node, census));
    }
    for (const [name, node] of entries) {
      const child = `${path}/${name}`;
      if (node.kind === 'directory') await fill(child, node.children);
      if (node.kind === 'directory' || made.get(node)?.path === child) await describe(child, node);
    }
  };
  await fill('', tree.root.children);
  await describe('/', tree.root);
  for (const { path, names } of made.values()) {
    if (names > 1) commands.push(`sif ${word(path)} links_count ${names}`);
  }
  const long = commands.find(({ length }) => length > longestCommand);
  if (long !== undefined) {
    throw new HcsError({
      action: 'Cannot unpack the layer',
      problem: `a link and its target have ${long.length} bytes together`,
      code: 'HCS_E_INVALID_LAYER',
    });
  }
  return commands;
}

/** Makes a file in the current directory. */
function makeCommand(name: string, node: LayerNode, census: Ext4Census): string {
  switch (node.kind) {
    case 'directory':
      return `mkdir ${word(name)}`;
    case 'file':
      census.file(node.size);
      return `write ${word(node.content)} ${word(name)}`;
    case 'symlink':
      census.symlink(node.target.length);
      return `symlink ${word(name)} ${word(node.target)}`;
    case 'fifo':
      census.special();
      return `mknod ${word(name)} p`;
    default:
      census.special();
      return `mknod ${word(name)} ${node.kind === 'character' ? 'c' : 'b'} ${node.major} ${node.minor}`;
  }
}

function attributeCommands(path: string, node: NodeAttributes & Pick<LayerNode, 'kind'>): string[] {
  const { seconds, extra } = inodeTime(node.modified);
  const times = ['atime', 'ctime', 'mtime'].flatMap((time) => [
    `sif ${path} ${time} ${seconds}`,
    ...(extra === '0' ? [] : [`sif ${path} ${time}_extra ${extra}`]),
  ]);
  return [
    `sif ${path} mode 0${(typeBits[node.kind] | node.mode).toString(8)}`,
    ...(node.uid === 0 ? [] : [`sif ${path} uid ${node.uid}`]),
    ...(node.gid === 0 ? [] : [`sif ${path} gid ${node.gid}`]),
    ...times,
  ];
}

function word(text: string): string {
  const quoted = debugfsWord(text);
  if (quoted !== undefined) return quoted;
  throw new HcsError({
    action: 'Cannot unpack the layer',
    problem: `a link leads to ${JSON.stringify(text)}, which has a line break`,
    code: 'HCS_E_INVALID_LAYER',
  });
}
