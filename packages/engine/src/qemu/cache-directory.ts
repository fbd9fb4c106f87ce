import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * `$HCSSHIM_CACHE`; else `/var/cache/hcsshim` for root, `$XDG_CACHE_HOME/hcsshim` for others, and where
 * that is not set, `~/.cache/hcsshim`.
 */
export function defaultCacheDirectory(): string {
  const { HCSSHIM_CACHE: asked, XDG_CACHE_HOME: cache } = process.env;
  if (asked) return asked;
  if (process.getuid?.() === 0) return '/var/cache/hcsshim';
  return join(cache || join(homedir(), '.cache'), 'hcsshim');
}
