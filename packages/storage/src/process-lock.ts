import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { HcsError } from '@hcsshim/schema';
import { mayBeRunning, thisProcessMark } from './process-identity.ts';

export interface ProcessLockOptions {
  signal?: AbortSignal | undefined;
  /** How long to wait for another holder, in milliseconds. @default 600000 */
  timeout?: number;
}

const firstPause = 5;
const longestPause = 100;

/**
 * Holds a file as a lock between processes, and between callers in one, until disposed. A lock whose holder is gone is
 * taken over. Throws HCS_E_OPERATION_TIMEOUT.
 */
export async function lockFile(
  path: string,
  { signal, timeout = 600_000 }: ProcessLockOptions = {},
): Promise<AsyncDisposable> {
  const deadline = performance.now() + timeout;
  const mark = `${thisProcessMark()}\n${randomUUID()}`;
  for (let pause = firstPause; ; pause = Math.min(pause * 1.5, longestPause)) {
    signal?.throwIfAborted();
    if (await take(path, mark)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    if (await breakStaleLock(path)) continue;
    if (performance.now() > deadline) {
      throw new HcsError({
        action: `Cannot lock "${path}"`,
        problem: `another process has held it for ${timeout / 1000} s, end that process`,
        code: 'HCS_E_OPERATION_TIMEOUT',
      });
    }
    await delay(pause, undefined, signal ? { signal } : {});
  }
}

/** The lock appears with its content, so that nobody ever reads half a mark. */
async function take(path: string, mark: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, mark, { flag: 'wx', mode: 0o600 });
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** True when the lock may be free now. */
async function breakStaleLock(path: string): Promise<boolean> {
  const mark = await readMark(path);
  if (mark === undefined) return true;
  if (mayBeRunning(mark.split('\n')[0] ?? '')) return false;
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
    // Between reading and renaming, someone else may have broken the lock and taken it: give it back.
    if ((await readMark(aside)) !== mark) await link(aside, path).catch(() => {});
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  } finally {
    await rm(aside, { force: true });
  }
  return true;
}

async function readMark(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
