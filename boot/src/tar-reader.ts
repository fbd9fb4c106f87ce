import { Ext4Error, TarDecoder, type TarEntry } from '@hcsshim/ext4';
import { FileTree, type TreeEntry } from './file-tree.ts';

export interface ReadTarOptions {
  /** For errors: the file that is read. */
  name: string;
  /** Takes the entries that this is true for. @default all */
  wanted?: (path: string) => boolean;
  /** Most bytes of wanted files, together. @default 4 GiB */
  limit?: number;
}

/** Reads a tar (v7, ustar, GNU, pax) into a tree. Times are dropped, a path never leads out of the tree. */
export async function readTar(source: AsyncIterable<Uint8Array>, options: ReadTarOptions): Promise<FileTree> {
  const { name: archive, wanted = () => true } = options;
  let room = options.limit ?? 4 * 2 ** 30;
  const tree = new FileTree();
  /** Where the content of the file at hand goes; undefined for one that is not wanted. */
  let content: Uint8Array | undefined;
  let filled = 0;
  const decoder = new TarDecoder({
    entry: (entry) => {
      content = undefined;
      const path = normalise(textOf(entry.path));
      if (path === '' || !wanted(path)) return;
      if (entry.type === 'file') {
        room -= entry.size;
        if (room < 0) throw malformed(archive, 'it has more data than is allowed for');
        content = new Uint8Array(entry.size);
        filled = 0;
      }
      tree.add(path, treeEntry(entry, content));
    },
    data: (bytes) => {
      content?.set(bytes, filled);
      filled += bytes.length;
    },
    hole: (bytes) => {
      filled += bytes;
    },
  });
  try {
    // To its very end, so that the writer of a pipe ends in peace.
    for await (const chunk of source) decoder.push(chunk);
    decoder.end();
  } catch (cause) {
    if (!(cause instanceof Ext4Error)) throw cause;
    throw malformed(archive, cause.message, cause);
  }
  return tree;
}

function treeEntry(entry: TarEntry, content: Uint8Array = new Uint8Array()): TreeEntry {
  const { type, mode, uid, gid, major, minor } = entry;
  const attributes = { mode, uid, gid };
  switch (type) {
    case 'file':
      return { type, content, ...attributes };
    case 'hardlink':
      return { type: 'link', target: normalise(textOf(entry.target)), ...attributes };
    case 'symlink':
      return { type, target: textOf(entry.target), ...attributes };
    case 'character':
    case 'block':
      return { type, major, minor, ...attributes };
    default:
      return { type, ...attributes };
  }
}

/** Names in an archive are bytes; those of Debian's packages are UTF-8. */
function textOf(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}

function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function malformed(archive: string, problem: string, cause?: unknown): Error {
  return new Error(
    `Cannot read tar "${archive}", check that the file is a whole tar archive: ${problem}`,
    cause === undefined ? {} : { cause },
  );
}
