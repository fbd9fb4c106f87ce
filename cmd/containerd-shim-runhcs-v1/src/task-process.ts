import { TtrpcError } from '@hcsshim/ttrpc';
import { requireKnownSignal, SIGKILL } from './signals.ts';
import type { ProcessStdio, StdioPaths } from './stdio.ts';
import type { CallOptions, HostedProcess, StdioRequest } from './task-host.ts';

export type ProcessState = 'created' | 'starting' | 'running' | 'exited';

/** From each state, the states that may follow. */
const transitions: Record<ProcessState, readonly ProcessState[]> = {
  created: ['starting', 'exited'],
  starting: ['running', 'exited'],
  running: ['exited'],
  exited: [],
};

/** A guest that does not answer may be gone. In milliseconds. */
const letGoTimeout = 5_000;

/** Upstream reports this as long as a process has not ended. */
const unknownExitCode = 255;

export interface ProcessExit {
  exitCode: number;
  exitedAt: Date;
}

/** Told of what happens to a process, in order, before anybody who waits for it. */
export interface ProcessObserver {
  started(process: TaskProcess): void;
  /** Called for every process, also for one that never started. */
  exited(process: TaskProcess, exit: ProcessExit): void;
  /** Its exit code cannot be known. */
  lost(process: TaskProcess, error: unknown): void;
}

export interface TaskProcessOptions {
  /** Names it in messages: `task "x"`, `process "y" of task "x"`. */
  label: string;
  /** Empty for the task's first process. */
  execId: string;
  /** The pid that containerd is told before the process runs. */
  pid: number;
  streams: ProcessStdio;
  observer: ProcessObserver;
}

/** A process of a task, its first one or an exec: created → starting → running → exited. */
export class TaskProcess {
  readonly label: string;
  readonly execId: string;
  readonly #observer: ProcessObserver;
  readonly #streams: ProcessStdio;
  readonly #exit = Promise.withResolvers<ProcessExit>();
  #state: ProcessState = 'created';
  #pid: number;
  #hosted: HostedProcess | undefined;
  #starting: Promise<unknown> | undefined;
  #result: ProcessExit | undefined;

  constructor({ label, execId, pid, streams, observer }: TaskProcessOptions) {
    this.label = label;
    this.execId = execId;
    this.#pid = pid;
    this.#streams = streams;
    this.#observer = observer;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get pid(): number {
    return this.#pid;
  }

  get stdio(): StdioPaths {
    return this.#streams.paths;
  }

  /** The process as its host knows it, once it runs. */
  get hosted(): HostedProcess | undefined {
    return this.#hosted;
  }

  /** 255 until the process has ended. */
  get exitCode(): number {
    return this.#result?.exitCode ?? unknownExitCode;
  }

  get exitedAt(): Date | undefined {
    return this.#result?.exitedAt;
  }

  /** Runs `launch`. When that fails, the process has exited with 1. */
  async start(launch: (stdio: StdioRequest) => Promise<HostedProcess>): Promise<void> {
    this.#enter('starting', 'start');
    const launching = launch(this.#streams.request);
    this.#starting = launching;
    let hosted: HostedProcess;
    try {
      hosted = await launching;
    } catch (error) {
      this.forceExit(1);
      throw error;
    }
    try {
      // A FIFO may be gone since the process was created.
      if (this.#state === 'starting') this.#streams.connect(hosted);
      // Refuses when the container was lost while the process started.
      this.#enter('running', 'start');
    } catch (error) {
      letGo(hosted);
      this.forceExit(1);
      throw error;
    }
    this.#hosted = hosted;
    if (this.execId) this.#pid = hosted.pid;
    this.#observer.started(this);
    void this.#watch(hosted);
  }

  /** Resolves when the process has ended and its output has been passed on. */
  async wait({ signal }: CallOptions = {}): Promise<ProcessExit> {
    return unlessAborted(this.#exit.promise, signal);
  }

  /** Sends a signal. A process that was only created is over then, with exit code 1, whatever the signal. */
  async kill(signal: number, options: CallOptions = {}): Promise<void> {
    requireKnownSignal(signal);
    if (this.#state === 'starting') {
      const started = this.#starting?.catch(() => {});
      await unlessAborted(Promise.race([started, this.#exit.promise]), options.signal);
    }
    if (this.#state === 'created') {
      this.#finish({ exitCode: 1, exitedAt: new Date() });
      return;
    }
    const delivered = this.#state === 'running' && (await this.#hosted?.kill(signal, options));
    if (!delivered) {
      throw new TtrpcError('NotFound', `Cannot send signal ${signal} to ${this.label}: it has ended already`);
    }
  }

  /** Ends a process that nothing is to be expected of any more. One that has exited stays as it is. */
  forceExit(exitCode: number): void {
    if (this.#state === 'exited') return;
    this.#finish({ exitCode, exitedAt: new Date() });
  }

  /** Sets the terminal's size; nothing happens while the process does not run. */
  async resize(size: { columns: number; rows: number }, options: CallOptions): Promise<void> {
    if (!this.stdio.terminal) {
      throw new TtrpcError('FailedPrecondition', `Cannot resize the terminal of ${this.label}: it has none`);
    }
    if (this.#state === 'running') await this.#hosted?.resize(size, options);
  }

  closeStdin(): void {
    this.#streams.closeStdin();
  }

  /** Throws when the process must not be forgotten yet. One that never started has exited with 0 then. */
  requireDeletable(): void {
    if (this.#state === 'created') this.forceExit(0);
    if (this.#state === 'exited') return;
    throw new TtrpcError(
      'FailedPrecondition',
      `Cannot delete ${this.label}: it is ${this.#state}, it must be exited`,
    );
  }

  async #watch(hosted: HostedProcess): Promise<void> {
    let exitCode = unknownExitCode;
    try {
      exitCode = await hosted.wait();
    } catch (error) {
      this.#observer.lost(this, error);
    }
    const exitedAt = new Date();
    await this.#streams.drain();
    if (this.#state === 'running') this.#finish({ exitCode, exitedAt });
  }

  #finish(exit: ProcessExit): void {
    this.#enter('exited', 'end');
    this.#result = exit;
    this.#streams.close();
    this.#observer.exited(this, exit);
    this.#exit.resolve(exit);
  }

  #enter(next: ProcessState, action: string): void {
    if (!transitions[this.#state].includes(next)) {
      throw new TtrpcError(
        'FailedPrecondition',
        `Cannot ${action} ${this.label}: it is ${this.#state}, it cannot become ${next}`,
      );
    }
    this.#state = next;
  }
}

/** What `work` resolves with. Rejects as soon as the signal aborts. */
async function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Ends a process that nobody will ask about. What goes wrong with it does not matter any more. */
function letGo(process: HostedProcess): void {
  for (const stream of [process.stdin, process.stdout, process.stderr]) {
    stream?.on('error', () => {});
    stream?.destroy();
  }
  process.wait().catch(() => {});
  process.kill(SIGKILL, { signal: AbortSignal.timeout(letGoTimeout) }).catch(() => {});
}
