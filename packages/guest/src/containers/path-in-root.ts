import { readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** As the kernel: a longer chain of links is a loop. */
const mostLinks = 40;

/**
 * Where `path` of a container is for the agent: every symbolic link on the way is followed as the container
 * would, so that none leads out of its root.
 */
export async function resolveInRoot(rootPath: string, path: string): Promise<string> {
  let rest = path.split('/').filter(Boolean);
  let resolved: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [part, ...after] = rest as [string, ...string[]];
    rest = after;
    if (part === '.') continue;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const target = await readlink(join(rootPath, ...resolved, part)).catch(() => undefined);
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    if (++links > mostLinks) throw new Error(`Cannot resolve "${path}": too many symbolic links`);
    if (target.startsWith('/')) resolved = [];
    rest = [...target.split('/').filter(Boolean), ...rest];
  }
  return join(rootPath, ...resolved);
}
