import type { Readable, Writable } from 'node:stream';
import type * as hcs from '@hcsshim/schema/hcs';
import type { CallOptions } from './compute-service.ts';

/**
 * A process to start. Schema 2's document, and what upstream's guest agent for Linux takes besides
 * (`internal/protocol/guestresource` and schema 1's `ProcessConfig`).
 */
export interface ComputeProcessParameters extends hcs.ProcessParameters {
  /** In the VM itself, outside of its containers. */
  CreateInUtilityVm?: boolean;
  OCIProcess?: unknown;
  OCISpecification?: unknown;
}

/** What to send to a process: the number of a Linux signal, or the name of a Windows control event. */
export interface SignalOptions {
  /** A system that knows only one signal takes none. */
  Signal?: number | hcs.ProcessSignal;
}

export interface OpenProcessOptions extends CallOptions {
  /** Opens its standard streams too, those that it was created with. @default false */
  stdio?: boolean;
}

/** How a process ended. */
export interface ProcessExit {
  /** 0 to 4294967295, or -1 when it is not known. */
  exitCode: number;
  /** Why the exit code is not known, in words. */
  reason?: string;
}

/** In characters. */
export interface ConsoleSize {
  width: number;
  height: number;
}

/**
 * A handle to a process in a compute system. Disposing it closes the handle and its streams, and leaves the
 * process alone. Of a handle that is closed every call throws ERROR_INVALID_HANDLE.
 */
export interface ComputeProcess extends AsyncDisposable {
  readonly pid: number;
  readonly systemId: string;
  /** Null when it was not asked for. `end()` closes the process's end too, when all bytes are through. */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Writes what is still to be written, and has the process's standard input closed by the service too. */
  closeStdin(options?: CallOptions): Promise<void>;
  /** False when there is no such process any more. Its waiters are then released at the latest a second later. */
  signal(document?: SignalOptions, options?: CallOptions): Promise<boolean>;
  /**
   * Ends the process, ahead of signals that are under way. True when it will end or has ended already. Ends the
   * whole system when the process cannot be reached otherwise. A second kill does nothing.
   */
  kill(options?: CallOptions): Promise<boolean>;
  resizeConsole(size: ConsoleSize, options?: CallOptions): Promise<void>;
  getProperties(options?: CallOptions): Promise<hcs.ProcessStatus>;
  modify(request: hcs.ProcessModifyRequest, options?: CallOptions): Promise<void>;
  /**
   * Resolves when the process has ended, for any number of waiters, also long after. Rejects with
   * ERROR_INVALID_HANDLE when the handle is closed before, with HCS_E_SERVICE_DISCONNECT when the service ends.
   */
  wait(options?: CallOptions): Promise<ProcessExit>;
}
