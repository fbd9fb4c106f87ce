import { readFileSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { type SystemCallError, unmount } from '@hcsshim/linux';

/** Mount points of this process's mount namespace, in the order of mounting. */
export function mountPoints(mountInfo = readFileSync('/proc/self/mountinfo', 'utf8')): string[] {
  return mountInfo
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map(unescapeMountPoint);
}

/** proc(5): space, tab, newline and backslash are written as three octal digits. */
function unescapeMountPoint(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Unmounts `target` and removes the directory. What is not mounted, or not there, is no error. */
export async function unmountAndRemove(target: string): Promise<void> {
  unmountIfMounted(target);
  try {
    await rmdir(target);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
}

/** Unmounts everything at and below `directory`, the deepest and latest first. */
export function unmountAllBelow(directory: string): void {
  const below = mountPoints().filter((path) => path === directory || path.startsWith(`${directory}/`));
  for (const path of below.reverse()) unmountIfMounted(path);
}

/** Removes a directory with its contents; what is mounted in it is unmounted and not touched. */
export async function removeTree(directory: string): Promise<void> {
  unmountAllBelow(directory);
  await rm(directory, { recursive: true, force: true });
}

function unmountIfMounted(target: string): void {
  try {
    unmount(target);
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'ENOENT')) throw error;
  }
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  const { code } = error as SystemCallError | NodeJS.ErrnoException;
  return code !== undefined && codes.includes(code);
}
