import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * What `find` found out, or what it found out before under the same key. Facts are kept in
 * `<directory>/<name>.json`; a directory that cannot be written is no error, it then finds out each time.
 */
export async function rememberFact<T>(
  directory: string,
  name: string,
  key: string,
  find: () => Promise<T>,
): Promise<T> {
  const path = join(directory, `${name}.json`);
  const remembered = await readFact<T>(path);
  if (remembered?.key === key) return remembered.fact;
  const fact = await find();
  const unfinished = `${path}.${randomUUID()}`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(unfinished, JSON.stringify({ key, fact }), { mode: 0o600 });
    await rename(unfinished, path);
  } catch {
    await rm(unfinished, { force: true }).catch(() => {});
  }
  return fact;
}

async function readFact<T>(path: string): Promise<{ key: string; fact: T } | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}
