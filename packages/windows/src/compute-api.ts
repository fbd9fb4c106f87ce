import type { ComputeCall } from './before-deadline.ts';
import type { ComputeEvent } from './callbacks.ts';
import type { ProcessHandle, StartedProcess, SystemHandle } from './compute-system.ts';
import type { ProcessInformation } from './procedure.ts';

/** Calls that take a system and a document of options, which may be missing. */
export type SystemOperation = 'start' | 'shutdown' | 'terminate' | 'crash' | 'pause' | 'resume' | 'save';

/** Tells of an event: its `type` is a {@link ComputeEventType}, its `data` JSON, as it came. */
export type ComputeEventHandler = (event: Pick<ComputeEvent, 'type' | 'data'>) => void;

/**
 * The Host Compute Service by one of its two DLLs. Documents are JSON texts, in and out; a result is null where
 * there is none. A handle goes back to the API that gave it.
 *
 * Calls reject with a DllCallError when the service refuses, with an OperationTimeoutError once their time is
 * over, and with their signal's reason. What was given up leaves nothing behind: no handle, no system, no process.
 */
export interface ComputeApi {
  readonly dll: 'computecore.dll' | 'vmcompute.dll';

  /** Creates a system and waits until it is there. */
  createSystem(id: string, configuration: string, call: ComputeCall): Promise<SystemHandle>;
  /** Opens a system that exists. */
  openSystem(id: string, call: ComputeCall): Promise<SystemHandle>;
  /** Lists systems. */
  enumerateSystems(query: string | null, call: ComputeCall): Promise<string | null>;
  /**
   * Runs an operation to its end; `shutdown` ends when the guest was asked. `vmcompute.dll` cannot crash a
   * system: a MissingProcedureError.
   */
  operateSystem(
    system: SystemHandle,
    operation: SystemOperation,
    options: string | null,
    call: ComputeCall,
  ): Promise<string | null>;
  systemProperties(system: SystemHandle, query: string | null, call: ComputeCall): Promise<string | null>;
  modifySystem(system: SystemHandle, configuration: string, call: ComputeCall): Promise<string | null>;
  /** Terminates a system that nobody wants any more, and waits a moment for that. Never rejects. */
  discardSystem(system: SystemHandle): Promise<void>;
  /**
   * Tells of a system's events from now on, until the subscription is disposed of, which is due after the
   * handle's close at the latest. Once for each handle: `computecore.dll` refuses a second time.
   */
  watchSystem(system: SystemHandle, onEvent: ComputeEventHandler): Promise<Disposable>;

  /** Starts a process in a system. The caller closes the pipes. */
  createProcess(system: SystemHandle, parameters: string, call: ComputeCall): Promise<StartedProcess>;
  /** Terminates a process that nobody wants any more, and waits a moment for that. Never rejects. */
  discardProcess(process: ProcessHandle): Promise<void>;
  /** Opens a process of a system by its id inside it. */
  openProcess(system: SystemHandle, processId: number, call: ComputeCall): Promise<ProcessHandle>;
  /** The id and pipes of a process. The caller closes the pipes. */
  processInformation(process: ProcessHandle, call: ComputeCall): Promise<ProcessInformation>;
  /** `ProcessStatus`: whether and how a process has ended. */
  processProperties(process: ProcessHandle, call: ComputeCall): Promise<string | null>;
  signalProcess(process: ProcessHandle, options: string | null, call: ComputeCall): Promise<string | null>;
  terminateProcess(process: ProcessHandle, call: ComputeCall): Promise<string | null>;
  /** Resizes the console of a process, or closes one of its pipes. */
  modifyProcess(process: ProcessHandle, settings: string, call: ComputeCall): Promise<string | null>;
  /**
   * As {@link watchSystem}. An end may come without `data`: then {@link processProperties} tell of it.
   */
  watchProcess(process: ProcessHandle, onEvent: ComputeEventHandler): Promise<Disposable>;

  serviceProperties(query: string | null, call: ComputeCall): Promise<string | null>;
  modifyService(settings: string, call: ComputeCall): Promise<string | null>;
}
