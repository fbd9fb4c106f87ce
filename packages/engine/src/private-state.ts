/**
 * The state directory as all that keep something in it must treat it: this is the package's door
 * `@hcsshim/engine/private-state`.
 */
import type { Stats } from 'node:fs';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';

export { type HostProcess, mayBeRunning, thisProcess } from './process-identity.ts';

const writableByOthers = 0o022;
const openToOthers = 0o077;

/**
 * Makes directories below a state directory, and that itself, for this user alone. Those below that exist lose
 * the permissions of others; the state directory itself may be one that others read, as the user chose it.
 * Throws E_ACCESSDENIED when one cannot be made, or is another user's.
 */
export async function makePrivateState(root: string, names: readonly string[]): Promise<void> {
  await make(root, root);
  await checkStateDirectory(root);
  for (const name of names) {
    const path = join(root, name);
    await make(root, path);
    const stats = await lstat(path);
    checkOwner(root, path, stats);
    if (stats.mode & openToOthers) await chmod(path, 0o700);
  }
}

/**
 * Throws E_ACCESSDENIED when another user could have put something into a state directory: what is there is
 * believed, processes named there are killed. One that does not exist is fine.
 */
export async function checkStateDirectory(root: string): Promise<void> {
  let stats: Stats;
  try {
    stats = await lstat(root);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw refusal(root, `it cannot be looked at (${code})`, cause);
  }
  checkOwner(root, root, stats);
  if (stats.mode & writableByOthers) throw refusal(root, `others can write to "${root}"`);
}

function checkOwner(root: string, path: string, stats: Stats): void {
  if (!stats.isDirectory()) throw refusal(root, `"${path}" is not a directory`);
  if (stats.uid !== process.geteuid?.()) throw refusal(root, `"${path}" belongs to user ${stats.uid}`);
}

async function make(root: string, path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // lstat says what else is there.
    if (code !== 'EEXIST') throw refusal(root, `it cannot be written (${code})`, cause);
  }
}

function refusal(root: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({
    action: `Cannot keep state in "${root}"`,
    problem: `${problem}, set HCSSHIM_STATE to a directory of yours`,
    code: 'E_ACCESSDENIED',
    cause,
  });
}
