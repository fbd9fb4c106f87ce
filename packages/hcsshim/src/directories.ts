import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const isRoot = process.getuid?.() === 0;

/** Where converted layers, unpacked images and VM templates are kept between runs: `$HCSSHIM_CACHE`. */
export function cacheDirectory(): string {
  if (process.env.HCSSHIM_CACHE) return process.env.HCSSHIM_CACHE;
  if (isRoot) return '/var/cache/hcsshim';
  if (process.platform === 'win32') {
    return join(process.env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'hcsshim');
  }
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hcsshim');
}

/** Where running systems are found by other processes: `$HCSSHIM_STATE`. */
export { defaultStateDirectory as stateDirectory } from '@hcsshim/engine/default-state-directory';

/**
 * Where the boot files are: `$HCSSHIM_BOOT`, or the first of `candidates` that has a kernel, then where upstream
 * looks on Windows, then the cache's `boot`.
 */
export function bootDirectory(candidates: readonly string[] = []): string {
  if (process.env.HCSSHIM_BOOT) return process.env.HCSSHIM_BOOT;
  const fallback = join(cacheDirectory(), 'boot');
  const { ProgramFiles } = process.env;
  const ofWindows = ProgramFiles === undefined ? [] : [join(ProgramFiles, 'Linux Containers')];
  return (
    [...candidates, ...ofWindows, fallback].find((directory) => existsSync(join(directory, 'vmlinux'))) ??
    fallback
  );
}
