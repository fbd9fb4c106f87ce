import { bind } from './bind.ts';
import { routeCallback } from './callbacks.ts';
import { computecore } from './dlls/computecore.ts';
import { OperationTimeoutError } from './operation-timeout-error.ts';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle, ProcessInformation } from './procedure.ts';

/** As long as hcsshim waits for one step of a system's life (internal/timeout). */
const defaultTimeout = 240_000;

export interface OperationOptions {
  /** Gives the operation up: it is cancelled, and the call rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the operation is given up with an {@link OperationTimeoutError}.
   * @default 240000
   */
  timeout?: number | undefined;
}

/**
 * Runs one operation of the Host Compute Service: makes it, begins a call with it, waits for its completion,
 * and gives the document of its result. The wait blocks no thread, so any number can be under way.
 *
 * Rejects with a DllCallError when the call or the operation fails; its `document` has the service's words.
 *
 * @param action What is being done and to what, to follow "Cannot" in the message of a timeout.
 * @param begin Makes the call that takes the operation.
 */
export async function runOperation(
  action: string,
  begin: (operation: Handle<'HCS_OPERATION'>) => unknown,
  options: OperationOptions = {},
): Promise<string | null> {
  return run(action, begin, options, (operation) => {
    return bind(computecore).HcsGetOperationResult({ operation }).resultDocument;
  });
}

/** As {@link runOperation}, for operations that tell of a process: its creation, `HcsGetProcessInfo`. */
export async function runProcessOperation(
  action: string,
  begin: (operation: Handle<'HCS_OPERATION'>) => unknown,
  options: OperationOptions = {},
): Promise<ProcessInformation> {
  return run(action, begin, options, (operation) => {
    return bind(computecore).HcsGetOperationResultAndProcessInfo({ operation }).processInformation;
  });
}

async function run<T>(
  action: string,
  begin: (operation: Handle<'HCS_OPERATION'>) => unknown,
  { signal, timeout = defaultTimeout }: OperationOptions,
  result: (operation: Handle<'HCS_OPERATION'>) => T,
): Promise<T> {
  signal?.throwIfAborted();
  const { HcsCreateOperation, HcsCloseOperation, HcsCancelOperation } = bind(computecore);
  const completed = Promise.withResolvers<void>();
  let hasCompleted = false;
  using route = routeCallback('HCS_OPERATION_COMPLETION', () => {
    hasCompleted = true;
    completed.resolve();
  });
  await using operation = new OwnedHandle(
    'HCS_OPERATION',
    HcsCreateOperation({ context: route.context, callback: route.callback }),
    // Before it has completed, its close might wait for a callback, and that for this thread.
    (value) => (hasCompleted ? HcsCloseOperation.now : HcsCloseOperation)({ operation: value }),
  );
  await operation.use(begin);
  try {
    await beforeDeadline(completed.promise, action, timeout, signal);
  } catch (error) {
    // The error that ended the wait is the one to be told; what cancelling says adds nothing.
    await operation.use((value) => HcsCancelOperation({ operation: value })).catch(() => {});
    throw error;
  }
  // Awaited here: the handle closes when this function returns.
  return await operation.use(result);
}

async function beforeDeadline(
  completed: Promise<void>,
  action: string,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const deadline = setTimeout(() => reject(new OperationTimeoutError(action, timeout)), timeout);
  try {
    await Promise.race([completed, givenUp]);
  } finally {
    signal?.removeEventListener('abort', abort);
    clearTimeout(deadline);
  }
}
