import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import type { CallOptions, SystemExit } from '@hcsshim/hcs';
import type { ComputeSystemDocument, ScsiAttachment, SystemStatistics } from '@hcsshim/schema';

/** What a monitor is made from. */
export interface MonitorOptions {
  id: string;
  /** GUID of the VM. */
  runtimeId: string;
  /** Validated already: see `validateDocument`. */
  document: ComputeSystemDocument;
  /**
   * A directory for the monitor's own files, mode 0700, empty, with a path that leaves room for the names of
   * unix sockets (50 bytes); removed by the engine after the end.
   */
  directory: string;
}

/**
 * What runs one compute system: QEMU, or a sandbox. It knows no states: the compute system calls a method
 * only when the state allows it, and one at a time (but `terminate`, which may come during any other). A call
 * that rejects, also since its signal aborted, has undone what it had begun.
 */
export interface Monitor extends AsyncDisposable {
  /** The system executes when this resolves. */
  start(options: CallOptions): Promise<void>;
  /** Asks the guest to power off; resolves when it was asked. */
  shutdown(options: CallOptions): Promise<void>;
  /** Ends the system now; resolves when `exited` has. Possible in every state, also before `start`. */
  terminate(options: CallOptions): Promise<void>;
  /**
   * Makes the guest's kernel panic; resolves when it was told to.
   * @default there is no kernel of its own to crash
   */
  crash?(options: CallOptions): Promise<void>;
  pause(options: CallOptions): Promise<void>;
  resume(options: CallOptions): Promise<void>;
  attachScsi(controller: number, lun: number, disk: ScsiAttachment, options: CallOptions): Promise<void>;
  /** Resolves when the guest has let go of the disk. */
  detachScsi(controller: number, lun: number, options: CallOptions): Promise<void>;
  statistics(options: CallOptions): Promise<SystemStatistics>;
  /** Lets the guest connect to `port`; works before `start`. */
  listen(port: number): Promise<HvListener>;
  /** Connects to `port` in the guest. Rejects with code ECONNREFUSED when nothing listens there. */
  connect(port: number, options: CallOptions): Promise<Duplex>;
  /**
   * Resolves once, when the system has ended, for whatever reason; never rejects. What `terminate` has ended
   * is a `ForcedExit`.
   */
  readonly exited: Promise<SystemExit>;
  /** Host processes to be killed by a sweeper when the owner dies. Read after `create` and after `start`. */
  readonly processIds: number[];
}

/** A way to run compute systems. */
export interface MonitorKind {
  readonly name: 'qemu' | 'sandbox';
  /** False when it brings its own guest and ignores the kernel that a document names. @default true */
  readonly bootsKernel?: boolean;
  /** Prepares everything but lets nothing of the guest run. A failed create undoes what it did. */
  create(options: MonitorOptions): Promise<Monitor>;
}
