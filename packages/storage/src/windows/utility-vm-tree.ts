import { type BackupReading, BackupWriter, type BackupWriting, readBackup } from './backup-file.ts';
import { fileAttributes } from './file-information.ts';
import { restoreDirectoryTimes, type TimedDirectory } from './layer-target.ts';
import { utilityVmFiles } from './legacy-layer.ts';
import type { RootDirectory } from './root-directory.ts';
import { type FoundFile, walkDirectory } from './walk-directory.ts';

/** What Windows changes in the files of a utility VM when it makes an image of them, in lower case. */
const changedFiles = new Set(
  ['bcd', 'bcd.log', 'bcd.log1', 'bcd.log2'].map((name) => `efi\\microsoft\\boot\\${name}`),
);

/**
 * Gives a layer the files of its parent's utility VM, since a utility VM has no layers: by links, which cost nothing, where the file
 * stays as it is, and by copies where it does not.
 *
 * @param to Has a folder `UtilityVM`, and nothing in it.
 */
export async function cloneUtilityVm(
  from: RootDirectory,
  to: RootDirectory,
  dll: BackupReading & BackupWriting,
  signal: AbortSignal,
): Promise<void> {
  await from.ensureNoReparsePoint(utilityVmFiles, { signal });
  const directories: TimedDirectory[] = [];
  for await (const found of walkDirectory(from, utilityVmFiles, { signal })) {
    if (isLinked(found)) {
      await from.link(found.path, found.path, { to, signal });
      continue;
    }
    const directory = await copyFile(from, to, found, dll, signal);
    if (directory !== undefined) directories.push(directory);
  }
  await restoreDirectoryTimes(to, directories, signal);
}

function isLinked({ path, attributes }: FoundFile): boolean {
  if ((attributes & (fileAttributes.directory | fileAttributes.reparsePoint)) !== 0) return false;
  return !changedFiles.has(path.slice(utilityVmFiles.length + 1).toLowerCase());
}

/** With all that it has. Gives a directory, for its times. */
async function copyFile(
  from: RootDirectory,
  to: RootDirectory,
  { path, attributes }: FoundFile,
  dll: BackupReading & BackupWriting,
  signal: AbortSignal,
): Promise<TimedDirectory | undefined> {
  const directory = (attributes & fileAttributes.directory) !== 0;
  await using source = await from.open(path, {
    access: ['read', 'systemSecurity'],
    reparsePoint: true,
    signal,
  });
  await using target = await to.open(path, {
    access: ['read', 'write', 'writeDac', 'writeOwner', 'systemSecurity'],
    disposition: 'create',
    directory,
    signal,
  });
  const info = await source.basicInfo();
  await target.setBasicInfo(info);
  await using writer = new BackupWriter(target, { security: true, dll });
  for await (const bytes of readBackup(source, { security: true, dll })) {
    signal.throwIfAborted();
    await writer.write(bytes);
  }
  await writer.finish();
  return directory ? { path, info } : undefined;
}
