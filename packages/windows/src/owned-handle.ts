import type { Handle, HandleName } from './procedure.ts';

type State = 'open' | 'closing' | 'closed';

/**
 * A handle with one owner, who closes it exactly once. Calls borrow it with {@link OwnedHandle.use}; a close
 * waits until they have returned, because a DLL that is inside a call may still touch what the handle names.
 */
export class OwnedHandle<Name extends HandleName> implements Disposable, AsyncDisposable {
  readonly kind: Name;
  readonly #value: Handle<Name>;
  readonly #close: (value: Handle<Name>) => unknown;
  readonly #closed = Promise.withResolvers<void>();
  #state: State = 'open';
  #borrowers = 0;

  /** @param close Called once; may return a promise. */
  constructor(kind: Name, value: Handle<Name>, close: (value: Handle<Name>) => unknown) {
    this.kind = kind;
    this.#value = value;
    this.#close = close;
  }

  get state(): State {
    return this.#state;
  }

  /** Lends the handle to one call. Rejects when it is closing or closed. */
  async use<T>(call: (value: Handle<Name>) => T): Promise<Awaited<T>> {
    if (this.#state !== 'open') throw new Error(`Cannot use a handle "${this.kind}" that is ${this.#state}`);
    this.#borrowers++;
    try {
      return await call(this.#value);
    } finally {
      this.#borrowers--;
      if (this.#isClosing() && this.#borrowers === 0) this.#finish();
    }
  }

  /** Resolves when the handle has been closed. A second call closes nothing and waits for the first. */
  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      if (this.#borrowers === 0) this.#finish();
    }
    return this.#closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes without waiting for calls that have borrowed the handle, or for a close that takes its time. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** A method, since the state may have changed while a call was under way. */
  #isClosing(): boolean {
    return this.#state === 'closing';
  }

  #finish(): void {
    this.#state = 'closed';
    this.#closed.resolve(Promise.try(this.#close, this.#value).then(() => undefined));
  }
}
