import { posix } from 'node:path';
import { elfNeeds, isElf } from './elf.ts';
import type { FileTree } from './file-tree.ts';

/** Where Debian's loader looks without a cache. */
const libraryFolders = [
  'lib/x86_64-linux-gnu',
  'usr/lib/x86_64-linux-gnu',
  'lib',
  'usr/lib',
  'lib64',
] as const;

/**
 * Copies from `source` to `tree` the loader and the shared libraries that the programs of `tree` need, and
 * what those need in turn. A library that neither has is an error that names who needs it.
 */
export function addSharedLibraries(tree: FileTree, source: FileTree): void {
  const pending = tree.sorted().map(([path]) => path);
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entry = tree.get(path);
    if (entry?.type !== 'file' || !isElf(entry.content) || path.endsWith('.ko')) continue;
    const { interpreter, libraries } = elfNeeds(entry.content);
    const wanted = [
      ...(interpreter ? [interpreter.slice(1)] : []),
      ...libraries.map((library) => findLibrary(source, library, path)),
    ];
    for (const library of wanted) {
      if (tree.get(library)) continue;
      pending.push(...copyWithTargets(source, tree, library));
    }
  }
}

function findLibrary(source: FileTree, name: string, neededBy: string): string {
  const path = libraryFolders.map((folder) => `${folder}/${name}`).find((candidate) => source.get(candidate));
  if (path) return path;
  throw new Error(
    `Cannot find the shared library "${name}" that "${neededBy}" needs: no package has it, add its package to guestPackages`,
  );
}

/** Copies a file, and when it is a symlink what it points at too; returns the paths of what is new. */
function copyWithTargets(source: FileTree, tree: FileTree, path: string): string[] {
  const copied: string[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const entry = source.get(next);
    if (!entry)
      throw new Error(`Cannot copy "${path}": "${next}" is in no package, add its package to guestPackages`);
    tree.add(next, entry);
    copied.push(next);
    next =
      entry.type === 'symlink' ? posix.resolve(`/${posix.dirname(next)}`, entry.target).slice(1) : undefined;
  }
  return copied;
}
