import { HcsError } from '@hcsshim/schema';
import type { EntryWriter } from './entry-writer.ts';
import type { FileBasicInfo } from './file-information.ts';
import { filesFolder, hivesFolder, isBelow, utilityVmFiles, utilityVmFolder } from './legacy-layer.ts';
import { relativePath } from './relative-path.ts';
import type { RootDirectory } from './root-directory.ts';

/** Where a writer puts a layer. Names are as from {@link layerName}. One call at a time. */
export interface LayerTarget extends AsyncDisposable {
  /** Gives what takes the entry's backup stream. */
  add(name: string, info: FileBasicInfo, signal: AbortSignal): Promise<EntryWriter>;
  addLink(name: string, target: string, signal: AbortSignal): Promise<void>;
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** Makes the layer of what was put there. */
  commit(signal: AbortSignal): Promise<void>;
}

/** A directory whose times change while files are made in it. */
export interface TimedDirectory {
  path: string;
  info: FileBasicInfo;
}

/** Sets times and attributes of directories, those inside first. @param directories Each after the one that it is in. */
export async function restoreDirectoryTimes(
  root: RootDirectory,
  directories: readonly TimedDirectory[],
  signal: AbortSignal,
): Promise<void> {
  for (const { path, info } of directories.toReversed()) {
    await using directory = await root.open(path, {
      access: ['read', 'write'],
      directory: true,
      reparsePoint: true,
      signal,
    });
    await directory.setBasicInfo(info);
  }
}

/** The name of an entry in the one spelling. Throws E_INVALIDARG for one that no layer has. */
export function layerName(name: string): string {
  const plain = relativePath(name);
  const isUtilityVm = plain === utilityVmFolder || plain === utilityVmFiles || isBelow(plain, utilityVmFiles);
  const folders = [filesFolder, hivesFolder];
  if (isUtilityVm || folders.some((folder) => plain === folder || isBelow(plain, folder))) return plain;
  throw new HcsError({
    action: `Cannot use "${name}" as a name in a layer`,
    problem: `a layer has what is in "${filesFolder}", "${hivesFolder}" and "${utilityVmFiles}" alone`,
    code: 'E_INVALIDARG',
  });
}
