import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { killProcess, reapOrphans, SystemCallError, setChildSubreaper, waitPid } from '@hcsshim/linux';

/** What is reported for a process whose exit status somebody else has taken. */
const unknownExitCode = 255;

/**
 * Collects processes that are not Node's own children: containers' processes, which the OCI runtime leaves
 * behind as orphans, and, where the agent is process 1, everybody else's orphans.
 *
 * Processes started by `spawn` here stay Node's: taking them would leave their `exit` event out for ever.
 */
export class ProcessReaper implements Disposable {
  readonly #ownChildren = new Set<number>();
  readonly #awaited = new Map<number, PromiseWithResolvers<number>>();
  #launches = 0;
  readonly #onChildSignal = (): void => this.#collect();

  constructor() {
    if (process.pid !== 1) setChildSubreaper();
    process.on('SIGCHLD', this.#onChildSignal);
  }

  /** As Node's own, but the child is known to be waited for. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn(command, args, options);
    const { pid } = child;
    if (pid === undefined) return child;
    this.#ownChildren.add(pid);
    child.once('exit', () => {
      this.#ownChildren.delete(pid);
      // While it was a zombie it may have hidden orphans behind it.
      this.#collect();
    });
    return child;
  }

  /**
   * Until the result is disposed, no unknown orphan is collected: a process that is being launched may end
   * before its id is known here, and as long as nobody collects it, its id is not given to another.
   */
  holdOrphans(): Disposable {
    this.#launches++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#launches--;
        this.#collect();
      },
    };
  }

  /**
   * The exit code of an orphan, 128 + signal number when a signal ended it. To be called while
   * {@link holdOrphans} is in force.
   */
  exitOf(pid: number): Promise<number> {
    const exit = Promise.withResolvers<number>();
    this.#awaited.set(pid, exit);
    this.#collectAwaited(pid);
    return exit.promise;
  }

  [Symbol.dispose](): void {
    process.off('SIGCHLD', this.#onChildSignal);
  }

  #collect(): void {
    for (const pid of [...this.#awaited.keys()]) this.#collectAwaited(pid);
    if (this.#launches > 0) return;
    for (const { pid, exitCode } of reapOrphans((child) => this.#ownChildren.has(child))) {
      this.#settle(pid, exitCode);
    }
  }

  #collectAwaited(pid: number): void {
    try {
      const exit = waitPid(pid);
      if (exit) this.#settle(pid, exit.exitCode);
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== 'ECHILD') throw error;
      // Not ours yet: between its parent's end and its adoption. Or not there any more.
      if (!isAlive(pid)) this.#settle(pid, unknownExitCode);
    }
  }

  #settle(pid: number, exitCode: number): void {
    this.#awaited.get(pid)?.resolve(exitCode);
    this.#awaited.delete(pid);
  }
}

function isAlive(pid: number): boolean {
  try {
    killProcess(pid, 0);
    return true;
  } catch {
    return false;
  }
}
