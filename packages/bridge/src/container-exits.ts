import { type GuestNotification, HcsError } from '@hcsshim/schema';

/** Containers that a connection created, and how each ended. */
export class ContainerExits {
  readonly #byId = new Map<string, PromiseWithResolvers<GuestNotification>>();
  readonly #ended = new Set<string>();
  #lost: HcsError | undefined;

  /** Begins to wait for a container's exit. Throws HCS_E_SYSTEM_ALREADY_EXISTS. */
  expect(id: string): void {
    if (this.#lost) throw this.#lost;
    if (this.#byId.has(id)) {
      throw new HcsError({
        action: `Cannot create container "${id}" in the guest`,
        problem: 'this connection has a container of that id, choose another',
        code: 'HCS_E_SYSTEM_ALREADY_EXISTS',
      });
    }
    const exit = Promise.withResolvers<GuestNotification>();
    exit.promise.catch(() => {});
    this.#byId.set(id, exit);
  }

  forget(id: string): void {
    this.#byId.delete(id);
    this.#ended.delete(id);
  }

  /** False when the notification is for no container that is known and has not ended. */
  settle(notification: GuestNotification): boolean {
    const id = notification.ContainerId;
    const exit = this.#byId.get(id);
    if (!exit || this.#ended.has(id)) return false;
    this.#ended.add(id);
    exit.resolve(notification);
    return true;
  }

  async wait(id: string, signal: AbortSignal | undefined): Promise<GuestNotification> {
    signal?.throwIfAborted();
    const exit = this.#byId.get(id);
    if (!exit) {
      throw new HcsError({
        action: `Cannot wait for container "${id}"`,
        problem: 'this connection has no container of that id',
        code: 'HCS_E_SYSTEM_NOT_FOUND',
      });
    }
    if (!signal) return exit.promise;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([exit.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The connection has ended: no exit can be learnt any more. */
  abandon(cause: Error | undefined): void {
    this.#lost = new HcsError({
      action: 'Cannot learn how a container ended',
      problem: 'the connection to the guest has ended',
      code: 'HCS_E_CONNECTION_CLOSED',
      ...(cause ? { cause } : {}),
    });
    for (const exit of this.#byId.values()) exit.reject(this.#lost);
  }
}
