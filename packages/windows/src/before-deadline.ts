import { OperationTimeoutError } from './operation-timeout-error.ts';

/** As long as hcsshim waits for one step of a system's life (internal/timeout). */
const defaultTimeout = 240_000;

export interface OperationOptions {
  /** Gives the operation up: it is cancelled, and the call rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the operation is given up with an {@link OperationTimeoutError}; `Infinity` leaves that to
   * the signal.
   * @default 240000
   */
  timeout?: number | undefined;
}

/** A call of the Host Compute Service. */
export interface ComputeCall extends OperationOptions {
  /** What is being done and to what, to follow "Cannot" in the message of a timeout. */
  action: string;
}

/** The outcome of `work`, or an error once the signal aborts or the time is over. `work` itself goes on. */
export async function beforeDeadline<T>(
  work: Promise<T>,
  { action, signal, timeout = defaultTimeout }: ComputeCall,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = () => reject(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const expire = () => reject(new OperationTimeoutError(action, timeout));
  const deadline = timeout === Number.POSITIVE_INFINITY ? undefined : setTimeout(expire, timeout);
  work.then(resolve, reject);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    clearTimeout(deadline);
  }
}

/** As {@link beforeDeadline}, for a call that cannot be cancelled: `giveBack` gets what it gives too late. */
export async function orGiveBack<T>(
  work: Promise<T>,
  call: ComputeCall,
  giveBack: (late: T) => unknown,
): Promise<T> {
  try {
    return await beforeDeadline(work, call);
  } catch (error) {
    // When `work` itself has failed there is nothing to give back.
    work.then(giveBack).catch(() => {});
    throw error;
  }
}
