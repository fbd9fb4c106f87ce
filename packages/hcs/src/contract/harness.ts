import type { HvSocket } from '@hcsshim/bridge';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import type { ComputeProcessParameters } from '../compute-process.ts';
import type { ComputeService } from '../compute-service.ts';

/**
 * What an implementation brings to be tested: a fresh Host Compute Service, and hands to do to it what no
 * caller can. Disposing it ends and removes all that is left.
 */
export interface ContractHarness extends AsyncDisposable {
  readonly compute: ComputeService;
  readonly sockets: HvSocket;
  /** An id for a system of this harness: `name` with something that sets it apart from other runs. */
  id(name: string): string;
  /** A document that boots a Linux guest whose agent dials the bridge port. */
  document(changes?: Partial<ComputeSystemDocument>): ComputeSystemDocument;
  /** Path of a new fixed VHD of at least 1 MiB. */
  createDisk(): Promise<string>;
  /** Kills the process that runs the system, as the kernel does when memory runs out. */
  killMonitor(id: string): Promise<void>;
  /** Lets another process create the system, and start it. */
  createElsewhere(id: string, document: ComputeSystemDocument): Promise<ForeignOwner>;
  /** Clears away what dead owners have left. Returns the systems' ids. */
  sweep(): Promise<string[]>;
  /** For the chapter about processes: what to start in a system. */
  readonly programs?: ContractPrograms;
  /** Names everything of this harness's systems that is still there, each in words. */
  leftovers(): Promise<string[]>;
}

/** A process that owns a system. Disposing it ends the process in order. */
export interface ForeignOwner extends AsyncDisposable {
  readonly pid: number;
  /** Ends the process with SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

export type ChapterName =
  | 'life cycle'
  | 'handles'
  | 'disks and sockets'
  | 'ownership'
  | 'service'
  | 'processes';

/** Processes that do what the suite needs. */
export interface ContractPrograms {
  /** Writes what it reads to its output; at the end of its input "<count> bytes" to its errors, and exits with 0. */
  readonly copy: ComputeProcessParameters;
  /** Waits for a signal. No streams. */
  readonly wait: ComputeProcessParameters;
  /** Exits by itself, with this code. No streams. */
  exit(exitCode: number): ComputeProcessParameters;
}

export interface ContractSubject {
  open(): Promise<ContractHarness>;
  /** Why the suite cannot run here. */
  skip?: string | undefined;
  /** Promises that cannot be tested here, by their names, each with the reason. @default none */
  untested?: Readonly<Record<string, string>>;
  /** Whole chapters, likewise. @default none */
  untestedChapters?: Readonly<Partial<Record<ChapterName, string>>>;
  /**
   * Longest that one test may take, in milliseconds.
   * @default 60000
   */
  patience?: number;
}
