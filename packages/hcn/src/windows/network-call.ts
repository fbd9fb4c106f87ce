import { setTimeout as sleep } from 'node:timers/promises';
import { HcsError } from '@hcsshim/schema';
import { networkError } from './network-error.ts';

export interface NetworkCallOptions {
  /** What is being done and to what, to follow "Cannot". */
  action: string;
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the call is given up with HCS_E_OPERATION_TIMEOUT.
   * @default 240000
   */
  timeout?: number;
}

/** As long as hcsshim waits for one step of a system's life (internal/timeout). */
const defaultTimeout = 240_000;
/** How long a call that was given up may take to undo what it had begun. In milliseconds. */
const undoTimeout = 5_000;

/**
 * A call of one step or more, with one deadline. Rejects with an HcsError, or with the signal's reason. A call
 * into the DLL cannot be broken off: `work` goes on behind, and asks `deadline` before each further step.
 */
export async function networkCall<T>(
  { action, signal, timeout = defaultTimeout }: NetworkCallOptions,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const giveUp = (reason: unknown): void => {
    controller.abort(reason);
    reject(reason);
  };
  const timer = setTimeout(() => giveUp(timeoutError(action, timeout)), timeout);
  const onAbort = (): void => giveUp(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const running = work(controller.signal);
  try {
    return await Promise.race([running, aborted]);
  } catch (error) {
    if (!controller.signal.aborted) throw networkError(`Cannot ${action}`, error);
    await settle(running);
    throw controller.signal.reason;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function settle(running: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  const waited = sleep(undoTimeout, undefined, { signal: enough.signal });
  await Promise.allSettled([Promise.race([running, waited])]);
  enough.abort();
  waited.catch(() => {});
}

function timeoutError(action: string, timeout: number): HcsError {
  return new HcsError({
    action: `Cannot ${action}`,
    problem: `no answer within ${timeout / 1000} s`,
    code: 'HCS_E_OPERATION_TIMEOUT',
  });
}
