import { setTimeout as sleep } from 'node:timers/promises';
import { killProcess, SystemCallError } from '@hcsshim/linux';
import { HcsError, infiniteTimeout } from '@hcsshim/schema';
import type { Console } from './console.ts';

/** How long a process's last terminal output may take to the host before its exit is told all the same. */
const drainTimeout = 2_000;

/** Longest delay of a timer in Node. */
const longestTimer = 0x7fff_ffff;

/** A process that the host knows by its id: it can be signalled, resized, and waited for by any number. */
export class GuestProcess {
  readonly pid: number;
  /** Resolves with the exit code once the process has ended and its terminal's output is on its way. */
  readonly exited: Promise<number>;
  readonly #console: Console | undefined;
  #ended = false;
  #outstanding = 0;
  #told = false;
  #onForgettable: (() => void) | undefined;

  constructor(pid: number, exit: Promise<number>, console?: Console) {
    this.pid = pid;
    this.#console = console;
    this.exited = this.#follow(exit);
  }

  /** kill(2). Throws ERROR_NOT_FOUND when the process has ended. */
  kill(signal: number): void {
    const action = `Cannot send signal ${signal} to process ${this.pid}`;
    const gone = (cause?: unknown): HcsError =>
      new HcsError({ action, problem: 'it has ended', code: 'ERROR_NOT_FOUND', cause });
    if (this.#ended) throw gone();
    try {
      killProcess(this.pid, signal);
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'ESRCH') throw gone(error);
      if (error instanceof SystemCallError && error.code === 'EINVAL') {
        throw new HcsError({
          action,
          problem: 'there is no such signal',
          code: 'E_INVALIDARG',
          cause: error,
        });
      }
      throw error;
    }
  }

  /** Sets the size of its terminal. Throws E_FAIL, as upstream, when it has none. */
  resize(size: { columns: number; rows: number }): void {
    if (!this.#console) {
      throw new HcsError({
        action: `Cannot resize the terminal of process ${this.pid}`,
        problem: 'it has no terminal',
        code: 'E_FAIL',
      });
    }
    if (!this.#ended) this.#console.resize(size);
  }

  /** @param timeout In milliseconds, 0xffffffff for no limit. Throws HCS_E_CONNECTION_TIMEOUT, as upstream. */
  async wait(timeout: number): Promise<number> {
    this.#outstanding++;
    try {
      const exitCode = await (timeout === infiniteTimeout ? this.exited : this.#exitWithin(timeout));
      this.#told = true;
      return exitCode;
    } finally {
      this.#outstanding--;
      this.#reportForgettable();
    }
  }

  /** `forget` is called once the exit has been told to a waiter and no other waits. */
  onForgettable(forget: () => void): void {
    this.#onForgettable = forget;
    this.#reportForgettable();
  }

  async #follow(exit: Promise<number>): Promise<number> {
    const exitCode = await exit;
    this.#ended = true;
    if (this.#console) {
      await Promise.race([this.#console.drained, sleep(drainTimeout, undefined, { ref: false })]);
      this.#console.close();
    }
    return exitCode;
  }

  async #exitWithin(timeout: number): Promise<number> {
    const timer = new AbortController();
    const expired = sleep(Math.min(timeout, longestTimer), undefined, { signal: timer.signal }).then(() => {
      throw new HcsError({
        action: `Cannot wait for process ${this.pid}`,
        problem: `it has not ended within ${timeout / 1000} s`,
        code: 'HCS_E_CONNECTION_TIMEOUT',
      });
    });
    try {
      return await Promise.race([this.exited, expired]);
    } finally {
      expired.catch(() => {});
      timer.abort();
    }
  }

  #reportForgettable(): void {
    if (this.#told && this.#outstanding === 0) this.#onForgettable?.();
  }
}
