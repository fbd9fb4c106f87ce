import { HcsError } from '@hcsshim/schema';
import { pendingInWords } from './pending-operations.ts';

export interface DeadlineOptions {
  signal?: AbortSignal | undefined;
  /** In milliseconds. */
  timeout: number;
  /** What is being done, for the error: `Cannot start compute system "x"`. */
  action: string;
  /** What is under way on the same object, for the error. @default nothing */
  pending?: (() => readonly string[]) | undefined;
}

/**
 * Runs `work` with a signal that aborts with the caller's, or with HCS_E_OPERATION_TIMEOUT once `timeout`
 * has passed; settles then even when `work` ignores the signal.
 */
export async function withDeadline<T>(
  options: DeadlineOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const controller = new AbortController();
  // It is under way while its deadline is set, since that takes a while.
  const running = work(controller.signal);
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = (reason: unknown): void => {
    controller.abort(reason);
    reject(reason);
  };
  const timer = setTimeout(() => {
    abort(
      new HcsError({
        action: options.action,
        problem: `no answer within ${options.timeout / 1000} s${pendingInWords(options.pending?.() ?? [])}`,
        code: 'HCS_E_OPERATION_TIMEOUT',
      }),
    );
  }, options.timeout);
  const onAbort = (): void => abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  running.then(resolve, reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}
