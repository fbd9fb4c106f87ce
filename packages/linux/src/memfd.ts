import { ftruncateSync } from 'node:fs';
import { checked, closeFd, libc } from './libc.ts';

const MFD_CLOEXEC = 1;

/**
 * A file without a name in memory, filled with zeros, close-on-exec. It lives until its last descriptor and mapping are gone.
 *
 * @param name Shown in `/proc/<pid>/fd` only.
 * @param size In bytes.
 */
export function createMemfd(name: string, size: number): number {
  const fd = checked(libc().memfd_create(name, MFD_CLOEXEC), 'memfd_create', `create memory file "${name}"`);
  try {
    ftruncateSync(fd, size);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
