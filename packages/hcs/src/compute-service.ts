import type {
  ComputeSystemDocument,
  ComputeSystemQuery,
  ComputeSystemSummary,
  ExitType,
  ModifySettingRequest,
  PropertyQuery,
  SystemProperties,
} from '@hcsshim/schema';
import type { ResourceModificationRequestResponse } from '@hcsshim/schema/hcs-v1';
import type { ContainerDocument } from './windows/container-document.ts';

/** What every call that can wait takes. */
export interface CallOptions {
  /** Gives the call up: it rejects with the signal's reason and undoes what it had begun. */
  signal?: AbortSignal;
}

/** The Host Compute Service: creates compute systems, finds those that exist. */
export interface ComputeService {
  /**
   * Creates a compute system and takes it to `Created`; nothing of it runs yet. Windows takes documents of schema 1 too.
   * Throws HCS_E_SYSTEM_ALREADY_EXISTS, HCS_E_INVALID_JSON, ERROR_NOT_SUPPORTED, ERROR_FILE_NOT_FOUND.
   */
  create(
    id: string,
    document: ComputeSystemDocument | ContainerDocument,
    options?: CallOptions,
  ): Promise<ComputeSystem>;
  /** Opens a system that another handle or process owns. Throws HCS_E_SYSTEM_NOT_FOUND. */
  open(id: string, options?: CallOptions): Promise<ComputeSystem>;
  enumerate(query?: ComputeSystemQuery, options?: CallOptions): Promise<ComputeSystemSummary[]>;
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
  getProperties(query?: PropertyQuery, options?: CallOptions): Promise<SystemProperties>;
  /** Windows takes requests of schema 1 too, which attach a network endpoint to a container and detach it. */
  modify(
    request: ModifySettingRequest | ResourceModificationRequestResponse,
    options?: CallOptions,
  ): Promise<void>;
  /**
   * Resolves when the system has ended, for any number of waiters, also long after. When the handle is closed
   * meanwhile it may reject with ERROR_INVALID_HANDLE, as on Windows.
   */
  wait(options?: CallOptions): Promise<SystemExit>;
}
