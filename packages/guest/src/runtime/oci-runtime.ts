import type { StdioOptions } from 'node:child_process';
import type { OciProcess } from '@hcsshim/schema';

/** A process that an OCI runtime has started: it is an orphan of the agent's to collect. */
export interface RuntimeProcess {
  pid: number;
  /** The master of its terminal, the caller's to close. Absent when it has none. */
  terminalFd?: number;
}

export interface CreateRequest {
  id: string;
  /** Directory with `config.json`. */
  bundle: string;
  /** Given to the process as they are, unless it has a terminal. */
  stdio: StdioOptions;
  terminal: boolean;
}

export interface ExecRequest {
  id: string;
  process: OciProcess;
  /** Given to the process as they are, unless it has a terminal. */
  stdio: StdioOptions;
}

export type RuntimeStatus = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/**
 * Containers by an OCI runtime. Methods reject with an `HcsError` in the runtime's own words, for example
 * ERROR_FILE_NOT_FOUND when the command does not exist in the container.
 */
export interface OciRuntime {
  /** Prepares a container; its first process waits for `start`. */
  create(request: CreateRequest): Promise<RuntimeProcess>;
  start(id: string): Promise<void>;
  /** Create and start in one step, which saves a process. */
  run(request: CreateRequest): Promise<RuntimeProcess>;
  /**
   * Starts a further process in a running container. Its terminal has its size when this resolves, but crun
   * (1.8 to 1.29) sets it from outside: a process that asks as soon as it runs may find none, and gets SIGWINCH.
   */
  exec(request: ExecRequest): Promise<RuntimeProcess>;
  /** Signals the first process, or `all`. */
  kill(id: string, signal: number, options?: { all?: boolean }): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  state(id: string): Promise<RuntimeStatus>;
  /** Ids of all processes in the container, as the agent sees them. */
  processes(id: string): Promise<number[]>;
  /** Sets limits, in the form of the specification's `linux.resources`. */
  update(id: string, resources: Record<string, unknown>): Promise<void>;
  /** Removes what the runtime keeps of a container, killing it first. One that it does not know is no error. */
  delete(id: string): Promise<void>;
}
