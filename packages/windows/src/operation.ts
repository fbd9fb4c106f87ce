import { beforeDeadline, type OperationOptions } from './before-deadline.ts';
import { bind } from './bind.ts';
import { routeCallback } from './callbacks.ts';
import { computecore } from './dlls/computecore.ts';
import type { Handle, ProcessInformation } from './procedure.ts';

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
  options: OperationOptions,
  result: (operation: Handle<'HCS_OPERATION'>) => T,
): Promise<T> {
  options.signal?.throwIfAborted();
  const { HcsCreateOperation, HcsCloseOperation, HcsCancelOperation } = bind(computecore);
  const completed = Promise.withResolvers<void>();
  let hasCompleted = false;
  using route = routeCallback('HCS_OPERATION_COMPLETION', () => {
    hasCompleted = true;
    completed.resolve();
  });
  const { context, callback } = route;
  const operation = HcsCreateOperation({ context, callback });
  try {
    await begin(operation);
    try {
      await beforeDeadline(completed.promise, { ...options, action });
    } catch (error) {
      // The error that ended the wait is the one to be told; what cancelling says adds nothing.
      await HcsCancelOperation({ operation }).catch(() => {});
      throw error;
    }
    return result(operation);
  } finally {
    // Before it has completed, its close might wait for a callback, and that for this thread.
    if (hasCompleted) HcsCloseOperation.now({ operation });
    else await HcsCloseOperation({ operation });
  }
}
