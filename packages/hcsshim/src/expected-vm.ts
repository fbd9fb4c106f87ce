import type { LinuxVmOptions, UtilityVm } from '@hcsshim/uvm';

/** A VM that is being started before anybody has asked for it. Disposing it ends it, unless it was taken. */
export class ExpectedVm implements AsyncDisposable {
  readonly #options: LinuxVmOptions;
  readonly #giveUp = new AbortController();
  readonly #starting: Promise<UtilityVm>;
  #taken = false;

  constructor(options: LinuxVmOptions, start: (signal: AbortSignal) => Promise<UtilityVm>) {
    this.#options = options;
    this.#starting = start(this.#giveUp.signal);
    this.#starting.catch(() => {});
  }

  /** Resolves when it has started, or has failed to. */
  get settled(): Promise<void> {
    return this.#starting.then(
      () => {},
      () => {},
    );
  }

  isFor(options: LinuxVmOptions): boolean {
    return JSON.stringify(options) === JSON.stringify(this.#options);
  }

  /** The VM, which is the caller's from here on. Rejects as its start does; the signal gives that up. */
  async take(signal: AbortSignal): Promise<UtilityVm> {
    this.#taken = true;
    const giveUp = (): void => this.#giveUp.abort(signal.reason);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await this.#starting;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#taken) return;
    this.#giveUp.abort();
    const vm = await this.#starting.catch(() => undefined);
    await vm?.[Symbol.asyncDispose]();
  }
}
