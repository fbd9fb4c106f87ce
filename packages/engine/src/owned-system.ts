import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import {
  type CallOptions,
  HcsError,
  operationTimeout,
  PendingOperations,
  type SystemExit,
  untilAborted,
  withDeadline,
  withUndo,
} from '@hcsshim/hcs';
import type { ModifySettingRequest, PropertyQuery, SystemProperties, SystemState } from '@hcsshim/schema';
import { ControlServer } from './control-server.ts';
import { type CheckedDocument, documentDisks } from './document.ts';
import { parseModification } from './modification.ts';
import type { Monitor, MonitorKind } from './monitor.ts';
import { type Operation, type OperationName, operations, requireState } from './operations.ts';
import { identifyProcess, type ProcessIdentity, thisProcess } from './process-identity.ts';
import { isAbandoned, type StateDirectory, type SystemRecord } from './state-directory.ts';
import { sweep } from './sweep.ts';
import { Turns } from './turns.ts';

export interface OwnedSystemOptions {
  id: string;
  document: CheckedDocument;
  kind: MonitorKind;
  state: StateDirectory;
  log: (message: string) => void;
}

interface OperationSteps {
  work(signal: AbortSignal): Promise<void>;
  /** When the work was done, but the caller had given up meanwhile. */
  undo?(): Promise<void>;
  /** When the work failed. What a monitor had begun it undoes by itself. */
  onFailure?(): Promise<void>;
}

/** More calls than this that wait for their turn mean that somebody does not wait for answers. */
const mostWaitingOperations = 64;
const sweepPollInterval = 20;

/** A compute system that this process runs: its state machine, its state on disk, and its end. */
export class OwnedSystem {
  readonly id: string;
  readonly runtimeId: string;
  /** Resolves when the system has ended and all of it is gone. Never rejects. */
  readonly exit: Promise<SystemExit>;
  readonly #document: CheckedDocument;
  readonly #directory: StateDirectory;
  readonly #log: (message: string) => void;
  readonly #monitor: Monitor;
  readonly #control: ControlServer;
  readonly #record: SystemRecord;
  readonly #turns = new Turns();
  readonly #recordWrites = new Turns();
  readonly #pending = new PendingOperations();
  readonly #ended = Promise.withResolvers<SystemExit>();
  /** `<controller>/<lun>` of each disk. */
  readonly #disks: Set<string>;
  #state: SystemState = 'Created';
  #exitStatus: SystemExit | undefined;
  #handles = 0;

  private constructor(
    { id, document, state, log }: OwnedSystemOptions,
    record: SystemRecord,
    monitor: Monitor,
    control: ControlServer,
  ) {
    this.id = id;
    this.runtimeId = record.runtimeId;
    this.#document = document;
    this.#directory = state;
    this.#log = log;
    this.#record = record;
    this.#monitor = monitor;
    this.#control = control;
    this.#disks = new Set(documentDisks(document).map(({ controller, lun }) => `${controller}/${lun}`));
    this.exit = monitor.exited.then((exit) => this.#finish(exit));
  }

  /** Takes a new system to `Created`. A failure leaves nothing behind. */
  static async create(options: OwnedSystemOptions, signal: AbortSignal): Promise<OwnedSystem> {
    const { id, document, kind, state } = options;
    signal.throwIfAborted();
    await using undo = new AsyncDisposableStack();
    const draft: Omit<SystemRecord, 'runtimeId'> = {
      version: 1,
      id,
      ownerName: document.Owner,
      owner: thisProcess(),
      monitor: kind.name,
      state: 'Unknown',
      createdAt: new Date().toISOString(),
      processes: [],
    };
    const { directory: prepared, record } = await state.prepare(draft, document);
    const { runtimeId } = record;
    undo.defer(() => state.discard(prepared));
    undo.defer(() => state.release(runtimeId));
    const control = undo.use(await ControlServer.listen(state.controlSocket(runtimeId), id));
    await claim(state, id, prepared, signal);
    undo.defer(() => state.remove(id));
    const directory = state.monitorDirectory(runtimeId);
    const monitor = undo.use(await kind.create({ id, runtimeId, document, directory }));
    signal.throwIfAborted();
    const system = new OwnedSystem(options, record, monitor, control);
    await system.#writeRecord();
    control.serve(system);
    // From here on the system's own end takes all of this back.
    undo.move();
    return system;
  }

  get terminatesWithLastHandle(): boolean {
    return this.#document.ShouldTerminateOnLastHandleClosed ?? false;
  }

  retain(): void {
    this.#handles++;
  }

  /** Closes a handle. Resolves when what that means for the system is done. */
  async release(): Promise<void> {
    if (--this.#handles === 0 && this.terminatesWithLastHandle) await this.terminate();
  }

  async start(options: CallOptions = {}): Promise<void> {
    await this.#operate('start', options, {
      work: (signal) => this.#monitor.start({ signal }),
      undo: () => this.terminate(),
      // A system that could not start is good for nothing more.
      onFailure: () => this.terminate(),
    });
  }

  async pause(options: CallOptions = {}): Promise<void> {
    await this.#operate('pause', options, {
      work: (signal) => this.#monitor.pause({ signal }),
      undo: () => this.#monitor.resume({}),
    });
  }

  async resume(options: CallOptions = {}): Promise<void> {
    await this.#operate('resume', options, {
      work: (signal) => this.#monitor.resume({ signal }),
      undo: () => this.#monitor.pause({}),
    });
  }

  async shutdown(options: CallOptions = {}): Promise<void> {
    await this.#operate('shutdown', options, { work: (signal) => this.#monitor.shutdown({ signal }) });
  }

  async crash(options: CallOptions = {}): Promise<void> {
    if (this.#monitor.crash === undefined) {
      throw new HcsError({
        action: `Cannot crash compute system "${this.id}"`,
        problem: "it shares its host's kernel, terminate it instead",
        code: 'ERROR_NOT_SUPPORTED',
      });
    }
    await this.#operate('crash', options, { work: async (signal) => this.#monitor.crash?.({ signal }) });
  }

  /** What is under way or waits for its turn, in words. */
  pendingOperations(): string[] {
    return this.#pending.list(this.id);
  }

  async modify(request: ModifySettingRequest, options: CallOptions = {}): Promise<void> {
    const action = `Cannot modify compute system "${this.id}"`;
    requireState(this.id, 'modify', this.#state);
    const modification = await parseModification(action, request);
    const { controller, lun } = modification;
    const slot = `${controller}/${lun}`;
    const detach = async (signal?: AbortSignal): Promise<void> => {
      await this.#monitor.detachScsi(controller, lun, signal ? { signal } : {});
      this.#disks.delete(slot);
    };
    const taken = (): boolean => this.#disks.has(slot);
    if (modification.type === 'detach disk') {
      const work = async (signal: AbortSignal): Promise<void> => {
        if (!taken()) throw slotError(action, controller, lun, 'holds no disk', 'ERROR_NOT_FOUND');
        await detach(signal);
      };
      return this.#operate('modify', options, { work });
    }
    const attach = async (signal: AbortSignal): Promise<void> => {
      if (taken()) throw slotError(action, controller, lun, 'holds a disk', 'ERROR_ALREADY_EXISTS');
      await this.#monitor.attachScsi(controller, lun, modification.disk, { signal });
      this.#disks.add(slot);
    };
    await this.#operate('modify', options, { work: attach, undo: detach });
  }

  /** Also for a system that has ended, as long as somebody holds it. */
  async getProperties(query?: PropertyQuery, options: CallOptions = {}): Promise<SystemProperties> {
    const runs = this.#state === 'Running' || this.#state === 'Paused';
    const statistics =
      runs && query?.PropertyTypes.includes('Statistics')
        ? await withDeadline(
            {
              signal: options.signal,
              timeout: operationTimeout(),
              action: `Cannot read statistics of "${this.id}"`,
            },
            (signal) => this.#monitor.statistics({ signal }),
          )
        : undefined;
    return {
      ...summarize(this.#record),
      State: this.#state,
      Stopped: this.#state === 'Stopped',
      ...(this.#exitStatus ? { ExitType: this.#exitStatus.type } : {}),
      ...(statistics ? { Statistics: statistics } : {}),
    };
  }

  async terminate({ signal }: CallOptions = {}): Promise<void> {
    const action = `Cannot terminate compute system "${this.id}"`;
    const pending = (): string[] => this.pendingOperations();
    await withDeadline({ signal, timeout: operationTimeout(), action, pending }, async (deadline) => {
      if (!this.#exitStatus) await this.#monitor.terminate({ signal: deadline });
      await this.exit;
    });
  }

  async wait({ signal }: CallOptions = {}): Promise<SystemExit> {
    return untilAborted(this.exit, signal);
  }

  async listen(port: number): Promise<HvListener> {
    if (this.#exitStatus) requireState(this.id, 'connect to', 'Stopped');
    return this.#monitor.listen(port);
  }

  async connect(port: number, { signal }: CallOptions = {}): Promise<Duplex> {
    requireState(this.id, 'connect to', this.#state);
    const action = `Cannot connect to port ${port} of compute system "${this.id}"`;
    return withDeadline({ signal, timeout: operationTimeout(), action }, async (deadline) => {
      const stream = await this.#monitor.connect(port, { signal: deadline });
      if (deadline.aborted) stream.destroy();
      return stream;
    });
  }

  /** Runs an operation in its turn, from an allowed state to the next. */
  async #operate(name: OperationName, { signal }: CallOptions, steps: OperationSteps): Promise<void> {
    const { to, timeout: timeoutName }: Operation = operations[name];
    const action = `Cannot ${name} compute system "${this.id}"`;
    if (this.#turns.length >= mostWaitingOperations) {
      throw new HcsError({
        action,
        problem: `${mostWaitingOperations} operations wait already`,
        code: 'HCS_E_OPERATION_PENDING',
      });
    }
    const attempt = async (step: (() => Promise<void>) | undefined, what: string): Promise<void> => {
      await step?.().catch((error) => this.#complain(what, error));
    };
    const options = {
      signal,
      timeout: operationTimeout(timeoutName),
      action,
      pending: () => this.pendingOperations(),
    };
    const run = (deadline: AbortSignal): Promise<void> =>
      this.#turns.run(async () => {
        deadline.throwIfAborted();
        requireState(this.id, name, this.#state);
        try {
          await this.#unlessEnded(name, action, steps.work(deadline));
        } catch (error) {
          await attempt(steps.onFailure, `end a failed ${name}`);
          throw error;
        }
        if (deadline.aborted) await attempt(steps.undo, `undo ${name}`);
        deadline.throwIfAborted();
        if (to && !this.#exitStatus) {
          this.#state = to;
          await this.#writeRecord();
        }
      });
    await withUndo(options, run, (running) =>
      this.#pending.track(this.id, `${name} compute system "${this.id}"`, running),
    );
  }

  /** The outcome of `work`, or an error in words when the system ends before. */
  async #unlessEnded(name: OperationName, action: string, work: Promise<void>): Promise<void> {
    const ended = this.#ended.promise.then((exit) => {
      throw new HcsError({
        action,
        problem: `it ended meanwhile: ${exit.reason}`,
        code: name === 'start' ? 'HCS_E_TERMINATED_DURING_START' : 'HCS_E_UNEXPECTED_EXIT',
      });
    });
    work.catch(() => {});
    await Promise.race([ended, work]);
  }

  /** The end, whatever brought it: all that the system had goes, then the waiters hear of it. */
  async #finish(exit: SystemExit): Promise<SystemExit> {
    this.#exitStatus = exit;
    this.#state = 'Stopped';
    this.#ended.resolve(exit);
    const steps: [string, () => Promise<void>][] = [
      ['clear up its monitor', async () => this.#monitor[Symbol.asyncDispose]()],
      ['remove its sockets', () => this.#directory.release(this.runtimeId)],
      ['remove its state', () => this.#recordWrites.run(() => this.#directory.remove(this.id))],
    ];
    for (const [what, step] of steps) {
      await step().catch((error) => this.#complain(what, error));
    }
    // Not waited for: those who wait through the control socket are answered by this very promise.
    setImmediate(() => {
      this.#control[Symbol.asyncDispose]().catch((error) =>
        this.#complain('close its control socket', error),
      );
    });
    return exit;
  }

  async #writeRecord(): Promise<void> {
    await this.#recordWrites.run(async () => {
      if (this.#exitStatus) return;
      this.#record.state = this.#state;
      this.#record.processes = this.#monitor.processIds
        .map(identifyProcess)
        .filter((identity): identity is ProcessIdentity => identity !== undefined);
      await this.#directory.write(this.#record);
    });
  }

  #complain(what: string, error: unknown): void {
    this.#log(`Cannot ${what} for compute system "${this.id}": ${(error as Error).message}`);
  }
}

/** What an enumeration shows of a system. */
export function summarize(
  record: SystemRecord,
): Pick<SystemProperties, 'Id' | 'SystemType' | 'Owner' | 'RuntimeId' | 'State'> {
  return {
    Id: record.id,
    SystemType: 'VirtualMachine',
    Owner: record.ownerName,
    RuntimeId: record.runtimeId,
    State: isAbandoned(record) ? 'Unknown' : record.state,
  };
}

/** Makes the id ours, clearing away what a dead owner left under it. Throws HCS_E_SYSTEM_ALREADY_EXISTS. */
async function claim(
  state: StateDirectory,
  id: string,
  prepared: string,
  signal: AbortSignal,
): Promise<void> {
  while (!(await state.publish(prepared, id))) {
    const other = await state.read(id);
    if (other && !isAbandoned(other)) {
      throw new HcsError({
        action: `Cannot create compute system "${id}"`,
        problem: `process ${other.owner.pid} owns a system with this id, choose another`,
        code: 'HCS_E_SYSTEM_ALREADY_EXISTS',
      });
    }
    await sweep({ ids: [id], stateDirectory: state.root, signal });
    // Another process may be sweeping it: then its directory stays a little longer.
    await new Promise((resolve) => setTimeout(resolve, sweepPollInterval));
    signal.throwIfAborted();
  }
}

function slotError(
  action: string,
  controller: number,
  lun: number,
  problem: string,
  code: 'ERROR_NOT_FOUND' | 'ERROR_ALREADY_EXISTS',
): HcsError {
  return new HcsError({ action, problem: `LUN ${lun} of SCSI controller ${controller} ${problem}`, code });
}
