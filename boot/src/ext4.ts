import { closeSync, openSync } from 'node:fs';
import { Ext4Error, Ext4Writer, FileOutput, type NewFile, type SeekableOutput } from '@hcsshim/ext4';
import type { FileTree, TreeEntry } from './file-tree.ts';

export interface Ext4Options {
  tree: FileTree;
  /** The image to make. */
  output: string;
  /** Of the image, in bytes. @default what the tree needs */
  sizeBytes?: number;
  uuid: string;
  label: string;
  signal?: AbortSignal | undefined;
}

/**
 * Writes the tree as an ext4 file system into a raw image and returns the image's size. All times are 0 and
 * files are made in the order of their names, so the same tree makes the same bytes. Without checksums, which the
 * guest would compute at every read of metadata.
 */
export function makeExt4({ output, ...options }: Ext4Options): number {
  const fd = openSync(output, 'w');
  try {
    return writeExt4(new FileOutput(fd), options);
  } catch (cause) {
    if (!(cause instanceof Ext4Error)) throw cause;
    throw new Error(`Cannot make the root disk "${output}": ${cause.message}`, { cause });
  } finally {
    closeSync(fd);
  }
}

/** The same into any storage. */
export function writeExt4(
  output: SeekableOutput,
  { tree, sizeBytes, uuid, label, signal }: Omit<Ext4Options, 'output'>,
): number {
  const writer = new Ext4Writer(output, {
    uuid,
    label,
    indexDirectories: true,
    ...(sizeBytes === undefined ? {} : { size: sizeBytes }),
  });
  const entries = tree.sorted();
  for (const [path, entry] of entries) {
    signal?.throwIfAborted();
    if (entry.type === 'link') continue;
    writer.create(path, newFile(entry));
    if (entry.type === 'file') writer.write(entry.content);
  }
  for (const [path, entry] of entries) if (entry.type === 'link') writer.link(entry.target, path);
  return writer.finish().size;
}

function newFile(entry: Exclude<TreeEntry, { type: 'link' }>): NewFile {
  const { mode, uid, gid } = entry;
  const attributes = { mode, uid, gid };
  switch (entry.type) {
    case 'file':
      return { ...attributes, type: 'file', size: entry.content.length };
    case 'symlink':
      return { ...attributes, type: 'symlink', target: entry.target };
    case 'character':
    case 'block':
      return { ...attributes, type: entry.type, major: entry.major, minor: entry.minor };
    default:
      return { ...attributes, type: entry.type };
  }
}
