import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { HvListener, HvSocket } from '@hcsshim/bridge';
import {
  type CallOptions,
  type ComputeService,
  type ComputeSystem,
  HcsError,
  operationTimeout,
  phase,
  withUndo,
} from '@hcsshim/hcs';
import type { ComputeSystemDocument, ComputeSystemQuery, ComputeSystemSummary } from '@hcsshim/schema';
import type { ModificationRequest, ServiceProperties, ServicePropertyQuery } from '@hcsshim/schema/hcs';
import { validateDocument } from './document.ts';
import type { MonitorKind } from './monitor.ts';
import { OwnedSystem, summarize } from './owned-system.ts';
import { connectThroughOwner, RemoteSystem } from './remote-system.ts';
import { isAbandoned, StateDirectory, type SystemRecord } from './state-directory.ts';
import { type SweepOptions, type SweptSystem, sweep } from './sweep.ts';
import { SystemHandle } from './system-handle.ts';

export interface LinuxComputeServiceOptions {
  /** What runs the systems that this process creates. Those of others are opened whatever runs them. */
  monitor: MonitorKind;
  /** @default defaultStateDirectory() */
  stateDirectory?: string;
  /** Told, in a sentence, of what went wrong where no caller can be told. @default dropped */
  log?: (message: string) => void;
}

/** The Host Compute Service for Linux. Disposing it ends all systems that it has created. */
export interface LinuxComputeService extends AsyncDisposable {
  readonly compute: ComputeService;
  readonly sockets: HvSocket;
  /** Removes what owners left behind that died. See {@link sweep}. */
  sweep(options?: Omit<SweepOptions, 'stateDirectory'>): Promise<SweptSystem[]>;
}

/** An id becomes a file name, and the name of a cgroup with nine characters more. */
const idPattern = /^[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,199}$/;
/** Longest path of a unix socket: sun_path of unix(7) less its NUL. */
const longestSocketPath = 107;
const longestSocketName = 50;

export function createLinuxComputeService(options: LinuxComputeServiceOptions): LinuxComputeService {
  const state = new StateDirectory(options.stateDirectory);
  const longest = join(state.monitorDirectory('00000000'), 'x'.repeat(longestSocketName));
  if (longest.length > longestSocketPath) {
    throw new HcsError({
      action: `Cannot keep state in "${state.root}"`,
      problem: `its path is ${longest.length - longestSocketPath} bytes too long for unix sockets, choose a shorter one`,
      code: 'E_INVALIDARG',
    });
  }
  const owned = new Map<string, OwnedSystem>();
  const compute = new LinuxCompute(state, owned, options.monitor, options.log ?? (() => {}));
  return {
    compute,
    sockets: new LinuxHvSocket(state, owned),
    sweep: (sweepOptions = {}) => sweep({ ...sweepOptions, stateDirectory: state.root }),
    [Symbol.asyncDispose]: () => compute.close(),
  };
}

class LinuxCompute implements ComputeService {
  readonly #state: StateDirectory;
  readonly #owned: Map<string, OwnedSystem>;
  readonly #kind: MonitorKind;
  readonly #log: (message: string) => void;
  /** Creations under way, also those that nobody waits for any more. */
  readonly #creating = new Set<Promise<void>>();

  constructor(
    state: StateDirectory,
    owned: Map<string, OwnedSystem>,
    kind: MonitorKind,
    log: (message: string) => void,
  ) {
    this.#state = state;
    this.#owned = owned;
    this.#kind = kind;
    this.#log = log;
  }

  async create(
    id: string,
    document: ComputeSystemDocument,
    { signal }: CallOptions = {},
  ): Promise<ComputeSystem> {
    const action = `Cannot create compute system "${id}"`;
    if (!idPattern.test(id)) {
      throw new HcsError({
        action,
        problem: `an id is 1 to 200 letters, digits and any of "_.@:+-", and begins with a letter, a digit or "_"`,
        code: 'E_INVALIDARG',
      });
    }
    const timeout = operationTimeout('SYSTEMCREATE');
    const create = (deadline: AbortSignal): Promise<ComputeSystem> =>
      phase('engine: create', id, async () => {
        const checked = await validateDocument(id, document, { bootsKernel: this.#kind.bootsKernel ?? true });
        const system = await OwnedSystem.create(
          { id, document: structuredClone(checked), kind: this.#kind, state: this.#state, log: this.#log },
          deadline,
        );
        this.#owned.set(system.runtimeId, system);
        void system.exit.then(() => this.#owned.delete(system.runtimeId));
        if (deadline.aborted) await system.terminate();
        return new SystemHandle(system);
      });
    return withUndo({ signal, timeout, action }, create, (creating) => {
      const settled = creating.then(
        () => {},
        () => {},
      );
      this.#creating.add(settled);
      void settled.then(() => this.#creating.delete(settled));
    });
  }

  async open(id: string, options: CallOptions = {}): Promise<ComputeSystem> {
    const record = idPattern.test(id) ? await this.#state.read(id) : undefined;
    const system = record && this.#owned.get(record.runtimeId);
    if (system) return new SystemHandle(system);
    if (record && !isAbandoned(record)) return RemoteSystem.open(this.#state, record, options);
    throw new HcsError({
      action: `Cannot open compute system "${id}"`,
      problem: record
        ? `its owner, process ${record.owner.pid}, has died; sweep to clear away what it left`
        : 'no system has this id',
      code: 'HCS_E_SYSTEM_NOT_FOUND',
    });
  }

  /** Systems of dead owners are shown as `Unknown` until they are swept. */
  async enumerate(
    query: ComputeSystemQuery = {},
    { signal }: CallOptions = {},
  ): Promise<ComputeSystemSummary[]> {
    signal?.throwIfAborted();
    const passes = (filter: string[] | undefined, value: string): boolean =>
      filter === undefined || filter.includes(value);
    return (await this.#state.list((error) => this.#log(error.message)))
      .map(summarize)
      .filter(
        (system) =>
          passes(query.Ids, system.Id) &&
          passes(query.Owners, system.Owner) &&
          passes(query.Types, system.SystemType),
      );
  }

  async getServiceProperties(
    query: ServicePropertyQuery,
    { signal }: CallOptions = {},
  ): Promise<ServiceProperties> {
    signal?.throwIfAborted();
    // The checker's table is large, and hardly anybody asks.
    const { readServiceProperties } = await import('./service-properties.ts');
    return readServiceProperties(query);
  }

  async modifyServiceSettings({ PropertyType }: ModificationRequest): Promise<never> {
    throw new HcsError({
      action: 'Cannot modify settings of the Host Compute Service',
      problem: `"${PropertyType}" is a setting of Windows, Linux has none`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#creating);
    const results = await Promise.allSettled([...this.#owned.values()].map((system) => system.terminate()));
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures, 'Cannot end all compute systems');
  }
}

class LinuxHvSocket implements HvSocket {
  readonly #state: StateDirectory;
  readonly #owned: Map<string, OwnedSystem>;

  constructor(state: StateDirectory, owned: Map<string, OwnedSystem>) {
    this.#state = state;
    this.#owned = owned;
  }

  async listen(vmId: string, port: number): Promise<HvListener> {
    checkPort(`Cannot listen for VM ${vmId}`, port);
    const system = this.#owned.get(vmId);
    if (system) return system.listen(port);
    const { id, owner } = await this.#find(vmId, 'listen for');
    throw new HcsError({
      action: `Cannot listen for compute system "${id}" on port ${port}`,
      problem: `only its owner can, which is process ${owner.pid}`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }

  async connect(vmId: string, port: number, options: CallOptions = {}): Promise<Duplex> {
    checkPort(`Cannot connect to VM ${vmId}`, port);
    const system = this.#owned.get(vmId);
    if (system) return system.connect(port, options);
    return connectThroughOwner(this.#state, await this.#find(vmId, 'connect to'), port, options);
  }

  async #find(vmId: string, verb: string): Promise<SystemRecord> {
    // A system whose record cannot be read cannot be asked for by its GUID.
    const records = await this.#state.list(() => {});
    const record = records.find(({ runtimeId }) => runtimeId === vmId);
    if (record && !isAbandoned(record)) return record;
    throw new HcsError({
      action: `Cannot ${verb} VM ${vmId}`,
      problem: 'no running system has this GUID',
      code: 'HCS_E_SYSTEM_NOT_FOUND',
    });
  }
}

function checkPort(action: string, port: number): void {
  if (Number.isInteger(port) && port > 0 && port < 0xffffffff) return;
  throw new HcsError({
    action,
    problem: `${port} is no vsock port, those are integers from 1 to 4294967294`,
    code: 'E_INVALIDARG',
  });
}
