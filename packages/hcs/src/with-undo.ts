import { setTimeout as sleep } from 'node:timers/promises';
import { type DeadlineOptions, withDeadline } from './deadline.ts';

/** How long a call that was given up may take to undo what it had begun. In milliseconds. */
const undoTimeout = 5_000;

/**
 * As `withDeadline`, but work that was given up, or took too long, gets a moment to undo what it had begun
 * before the caller hears of it. `onWork` is told the work itself, which may take even longer.
 */
export async function withUndo<T>(
  options: DeadlineOptions,
  work: (signal: AbortSignal) => Promise<T>,
  onWork?: (work: Promise<T>) => void,
): Promise<T> {
  let running: Promise<T> | undefined;
  try {
    return await withDeadline(options, (signal) => {
      running = work(signal);
      onWork?.(running);
      return running;
    });
  } catch (error) {
    const settled = running?.catch(() => {});
    const enough = new AbortController();
    await Promise.race([settled, sleep(undoTimeout, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
    throw error;
  }
}
