import type {
  ComputeSystemDocument,
  ComputeSystemQuery,
  ComputeSystemSummary,
  ExitType,
  ModifySettingRequest,
  PropertyQuery,
  SystemProperties,
} from '@hcsshim/schema';
import type * as hcs from '@hcsshim/schema/hcs';
import type * as hcsV1 from '@hcsshim/schema/hcs-v1';
import type { ContainerConfig } from '@hcsshim/schema/hcs-v1';
import type { ComputeProcess, ComputeProcessParameters, OpenProcessOptions } from './compute-process.ts';
import type { SystemEvent } from './system-event.ts';

/** What every call that can wait takes. */
export interface CallOptions {
  /** Gives the call up: it rejects with the signal's reason and undoes what it had begun. */
  signal?: AbortSignal;
}

/** A document of schema 1 that creates a container: it has no schema version, but a type and a name. */
export interface ContainerDocument extends ContainerConfig {
  SystemType: string;
  Name: string;
}

export interface OpenSystemOptions extends CallOptions {
  /**
   * Told of the events of the system that are not its end, in their order, from the handle's opening to its
   * closing; none is kept, and none is left out. An exception in it is an uncaught exception.
   * @default dropped
   */
  onEvent?: ((event: SystemEvent) => void) | undefined;
}

/** The Host Compute Service: creates compute systems, finds those that exist, tells of its host. */
export interface ComputeService {
  /**
   * Creates a compute system and takes it to `Created`; nothing of it runs yet. Windows takes documents of schema 1 too.
   * Throws HCS_E_SYSTEM_ALREADY_EXISTS, HCS_E_INVALID_JSON, ERROR_NOT_SUPPORTED, ERROR_FILE_NOT_FOUND.
   */
  create(
    id: string,
    document: ComputeSystemDocument | ContainerDocument,
    options?: OpenSystemOptions,
  ): Promise<ComputeSystem>;
  /** Opens a system that another handle or process owns. Throws HCS_E_SYSTEM_NOT_FOUND. */
  open(id: string, options?: OpenSystemOptions): Promise<ComputeSystem>;
  enumerate(query?: ComputeSystemQuery, options?: CallOptions): Promise<ComputeSystemSummary[]>;
  /** Properties of the host: `Properties` has one for each of the query's `PropertyTypes`, in their order. */
  getServiceProperties(
    query: hcs.ServicePropertyQuery,
    options?: CallOptions,
  ): Promise<hcs.ServiceProperties>;
  /** Changes settings of the host, such as its CPU groups. Gives what the service answers, undefined for nothing. */
  modifyServiceSettings(request: hcs.ModificationRequest, options?: CallOptions): Promise<unknown>;
}

/** How and why a system ended. */
export interface SystemExit {
  type: ExitType;
  /** In words: `the guest powered off`, `QEMU was killed by signal SIGKILL`, `the guest kernel panicked`. */
  reason: string;
}

/**
 * A handle to a compute system. States: Created → Running ⇄ Paused → Stopped; a call that the state does
 * not allow throws HCS_E_INVALID_STATE with both names in it, and any call after the end throws
 * HCS_E_SYSTEM_ALREADY_STOPPED. Disposing closes the handle; when the document says
 * `ShouldTerminateOnLastHandleClosed`, the last handle's disposal terminates the system.
 *
 * A call that takes too long throws HCS_E_OPERATION_TIMEOUT, with what is pending on the system in its message.
 */
export interface ComputeSystem extends AsyncDisposable {
  readonly id: string;
  /** GUID of the VM, the address of its hvsockets. Empty for a container that shares the host's kernel. */
  readonly runtimeId: string;
  start(options?: CallOptions): Promise<void>;
  /** Asks the guest to shut down and returns when it was asked; `wait` tells when it has. */
  shutdown(options?: CallOptions): Promise<void>;
  /** Ends the system now. Resolves when it has ended; a system that has ended already is no error. */
  terminate(options?: CallOptions): Promise<void>;
  pause(options?: CallOptions): Promise<void>;
  resume(options?: CallOptions): Promise<void>;
  /** Saves the state of a paused system. Throws ERROR_NOT_SUPPORTED where systems cannot be saved. */
  save(document: hcs.SaveOptions, options?: CallOptions): Promise<void>;
  /**
   * Crashes the guest's operating system, so that it leaves a dump. Resolves when it was told to; `wait` tells
   * when it has. Throws ERROR_NOT_SUPPORTED where there is no guest of its own.
   */
  crash(document?: hcs.CrashOptions, options?: CallOptions): Promise<void>;
  getProperties(query?: PropertyQuery, options?: CallOptions): Promise<SystemProperties>;
  /** As `getProperties`, in the documents of schema 1. */
  getPropertiesV1(query?: hcsV1.PropertyQuery, options?: CallOptions): Promise<hcsV1.ContainerProperties>;
  /** Windows takes requests of schema 1 too, which attach a network endpoint to a container and detach it. */
  modify(
    request: ModifySettingRequest | hcsV1.ResourceModificationRequestResponse,
    options?: CallOptions,
  ): Promise<void>;
  /**
   * Starts a process in the system. One whose start is given up is ended.
   * Throws ERROR_NOT_SUPPORTED for a system whose processes are reached through its guest connection.
   */
  createProcess(parameters: ComputeProcessParameters, options?: CallOptions): Promise<ComputeProcess>;
  /** Opens a process by its id inside the system. Throws ERROR_NOT_FOUND; otherwise as `createProcess`. */
  openProcess(pid: number, options?: OpenProcessOptions): Promise<ComputeProcess>;
  /** What this process has under way on the system, in words, oldest first. */
  pendingOperations(): string[];
  /**
   * Resolves when the system has ended, for any number of waiters, also long after. When the handle is closed
   * meanwhile it may reject with ERROR_INVALID_HANDLE, as on Windows.
   */
  wait(options?: CallOptions): Promise<SystemExit>;
}
