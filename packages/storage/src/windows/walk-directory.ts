import { fileAttributes } from './file-information.ts';
import type { RootDirectory } from './root-directory.ts';

/** Set in the tag of a reparse point that stands for another file or directory (`IsReparseTagNameSurrogate`). */
const nameSurrogate = 0x20000000;

export interface FoundFile {
  /** From the root on. */
  path: string;
  /** `FILE_ATTRIBUTE_…` (winnt.h). */
  attributes: number;
  /** False for a link to one. */
  isDirectory: boolean;
}

/**
 * Finds a directory and all that is below it, a directory before what is in it, names in the order of their bytes in UTF-8: that of
 * hcsshim's walk, so that an archive of it has the same digest. Goes into no link.
 *
 * @param isLeftOut Of a path: it and what is below it are passed over.
 */
export async function* walkDirectory(
  root: RootDirectory,
  path: string,
  options: { signal: AbortSignal; isLeftOut?: (path: string) => boolean },
): AsyncGenerator<FoundFile, void> {
  const { attributes } = await root.lstat(path, options);
  const reparseTag = (attributes & fileAttributes.reparsePoint) === 0 ? 0 : nameSurrogate;
  yield* walk(root, { path, attributes, isDirectory: isDirectory(attributes, reparseTag) }, options);
}

async function* walk(
  root: RootDirectory,
  found: FoundFile,
  options: { signal: AbortSignal; isLeftOut?: (path: string) => boolean },
): AsyncGenerator<FoundFile, void> {
  yield found;
  if (!found.isDirectory) return;
  for (const { name, attributes, reparseTag } of sortByName(await root.list(found.path, options))) {
    const path = `${found.path}\\${name}`;
    if (options.isLeftOut?.(path)) continue;
    yield* walk(root, { path, attributes, isDirectory: isDirectory(attributes, reparseTag) }, options);
  }
}

/** In the order of their bytes in UTF-8. */
export function sortByName<T extends { name: string }>(entries: readonly T[]): T[] {
  return entries
    .map((entry) => ({ entry, bytes: Buffer.from(entry.name) }))
    .sort((a, b) => a.bytes.compare(b.bytes))
    .map(({ entry }) => entry);
}

function isDirectory(attributes: number, reparseTag: number): boolean {
  return (attributes & fileAttributes.directory) !== 0 && (reparseTag & nameSurrogate) === 0;
}
