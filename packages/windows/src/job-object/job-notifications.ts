import { type JobMessage, jobMessages } from './constants.ts';

/** What a job tells. */
export type JobNotification =
  /** The last process has ended. There may be new ones since. */
  | { type: 'all-processes-exited' }
  /** A message that nothing acts upon yet. `processId` is null where it is not about one process. */
  | { type: 'unimplemented'; message: JobMessage; processId: number | null }
  /** So many messages came faster than they were read, and were dropped, the oldest first. */
  | { type: 'lost'; count: number };

const names = new Map<number, JobMessage>(
  Object.entries(jobMessages).map(([name, code]) => [code, name as JobMessage]),
);

/** A message as the completion port has it; undefined for one that is not known. */
export function readJobMessage(code: number, processId: bigint): JobNotification | undefined {
  if (code === jobMessages.ACTIVE_PROCESS_ZERO) return { type: 'all-processes-exited' };
  const message = names.get(code);
  if (message === undefined) return undefined;
  return { type: 'unimplemented', message, processId: processId === 0n ? null : Number(processId) };
}

/** Messages of one job on their way to who reads them. Processes in the job cause them, so their number is bounded. */
export class JobNotifications {
  readonly #limit: number;
  readonly #kept: JobNotification[] = [];
  readonly #waiting = new Set<() => void>();
  #lost = 0;
  #isEnded = false;

  constructor(limit = 1024) {
    this.#limit = limit;
  }

  /** Whether someone waits for the next message. */
  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  push(notification: JobNotification): void {
    if (this.#isEnded) return;
    this.#kept.push(notification);
    if (this.#kept.length > this.#limit) {
      this.#kept.shift();
      this.#lost++;
    }
    this.#wake();
  }

  /** Lets readers come to their end when they have read what is there. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  /**
   * Gives the messages in the order in which they came; each goes to one reader.
   *
   * @param onWait Called when it begins to wait.
   */
  async *read(
    signal: AbortSignal | undefined,
    onWait: () => void,
  ): AsyncGenerator<JobNotification, void, undefined> {
    for (;;) {
      signal?.throwIfAborted();
      const next = this.#take();
      if (next !== undefined) yield next;
      else if (this.#isEnded) return;
      else await this.#wait(signal, onWait);
    }
  }

  #take(): JobNotification | undefined {
    if (this.#lost === 0) return this.#kept.shift();
    const count = this.#lost;
    this.#lost = 0;
    return { type: 'lost', count };
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async #wait(signal: AbortSignal | undefined, onWait: () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const stop = () => resolve();
    signal?.addEventListener('abort', stop, { once: true });
    onWait();
    try {
      await promise;
    } finally {
      this.#waiting.delete(resolve);
      signal?.removeEventListener('abort', stop);
    }
  }
}
