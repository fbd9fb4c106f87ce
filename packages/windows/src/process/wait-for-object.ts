import { bind } from '../bind.ts';
import { routeCallback } from '../callbacks.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { forEver, untilCallbacksReturn } from '../event-watch.ts';
import type { Handle } from '../procedure.ts';

/** `WT_EXECUTEONLYONCE` (winnt.h). */
const executeOnlyOnce = 8;

/**
 * Waits until an object of the kernel is signaled: a process has ended. One thread of Windows waits for dozens of objects;
 * ours goes on, and stays alive for it. Rejects with the reason of `signal` when that is aborted.
 */
export async function waitForObject(
  object: Handle<'HANDLE'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { RegisterWaitForSingleObject, UnregisterWaitEx } = bind(kernel32);
  using route = routeCallback('WAITORTIMERCALLBACK', () => resolve());
  const { callback, context } = route;
  const { wait } = RegisterWaitForSingleObject({
    object,
    callback,
    context,
    milliseconds: forEver,
    flags: executeOnlyOnce,
  });
  const abort = () => reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    // On the pool: the callback that it waits for needs this thread.
    await UnregisterWaitEx({ wait, completionEvent: untilCallbacksReturn });
  }
}
