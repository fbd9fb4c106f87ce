import { bind } from './bind.ts';
import { routeCallback } from './callbacks.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle } from './procedure.ts';

/** `INFINITE` (winbase.h). */
export const forEver = 0xffffffff;

/** `INVALID_HANDLE_VALUE`: to `UnregisterWaitEx`, to return once no callback is under way any more. */
export const untilCallbacksReturn = 0xffffffff_ffffffffn as Handle<'HANDLE'>;

/**
 * An event of Windows whose signals are told on the event loop. The wait is `RegisterWaitForSingleObject`'s: one thread
 * of Windows waits for up to 63 of them, and none of libuv's pool does. The event resets itself when a signal
 * is taken; signals that come close together may be told as one.
 */
export class EventWatch implements AsyncDisposable {
  /** What is to be signalled. Valid until the watch is disposed of. */
  readonly event: Handle<'HANDLE'>;
  readonly #owned: AsyncDisposableStack;

  private constructor(event: Handle<'HANDLE'>, owned: AsyncDisposableStack) {
    this.event = event;
    this.#owned = owned;
  }

  /** @param onSignal Not called any more once the watch is being disposed of. */
  static open(onSignal: () => void): EventWatch {
    const { CreateEventW, CloseHandle, RegisterWaitForSingleObject, UnregisterWaitEx } = bind(kernel32);
    using undo = new DisposableStack();
    const event = CreateEventW({ attributes: null, manualReset: false, initialState: false });
    const closeEvent = undo.adopt(
      new OwnedHandle('HANDLE', event, (object) => CloseHandle({ object })),
      (owner) => owner[Symbol.dispose](),
    );
    const route = undo.use(routeCallback('WAITORTIMERCALLBACK', onSignal));
    const { wait } = RegisterWaitForSingleObject({
      object: event,
      callback: route.callback,
      context: route.context,
      milliseconds: forEver,
      flags: 0,
    });
    undo.move();
    const owned = new AsyncDisposableStack();
    owned.use(closeEvent);
    // On the pool: the callback that it waits for needs this thread.
    owned.defer(() => UnregisterWaitEx({ wait, completionEvent: untilCallbacksReturn }));
    owned.use(route);
    return new EventWatch(event, owned);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
