import type { ProcessExit } from '../compute-process.ts';
import { unknownExit } from './process-status.ts';

/**
 * How long the service may take to tell how a process ended that should be gone, in milliseconds. Upstream waits
 * as long before it releases the waiters (`internal/hcs/process.go`, against a deadlock in the service).
 */
const releaseDelay = 1000;

/** The end of a process, told once to any number of waiters. */
export class ProcessEnd implements Disposable {
  readonly #outcome = Promise.withResolvers<ProcessExit>();
  #isTold = false;
  #release: NodeJS.Timeout | undefined;

  constructor() {
    // Nobody has to wait for the end.
    this.#outcome.promise.catch(() => {});
  }

  get promise(): Promise<ProcessExit> {
    return this.#outcome.promise;
  }

  /** Whether it is known how the process ended, or that this will not be known. */
  get isTold(): boolean {
    return this.#isTold;
  }

  tell(exit: ProcessExit): void {
    this.#settle();
    this.#outcome.resolve(exit);
  }

  /** The end will not be heard of any more. */
  fail(error: Error): void {
    this.#settle();
    this.#outcome.reject(error);
  }

  /** Tells an unknown exit in a while, unless the service tells a better one before. */
  release(reason: string): void {
    if (this.#isTold) return;
    this.#release ??= setTimeout(() => this.tell(unknownExit(reason)), releaseDelay);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#release);
  }

  #settle(): void {
    this.#isTold = true;
    clearTimeout(this.#release);
  }
}
