import { type CallOptions, HcsError, isHcsError, phase, untilAborted, withDeadline } from '@hcsshim/hcs';
import type { OciProcess, OciSpec } from '@hcsshim/schema';
import type { GuestProcess, StdioRequest, UtilityVm } from '@hcsshim/uvm';
import { guestSpec } from './linux-spec.ts';

export interface LinuxContainerOptions {
  /** Letters, digits, `-`, `_` and `.`; not used by another container of the VM. */
  id: string;
  spec: OciSpec;
  /** Read-only layer disks (fixed VHDs on the host), the topmost first. */
  layers: readonly string[];
  /** The writable disk (fixed VHD on the host). It is not deleted. */
  scratch: string;
}

/** Upstream's patience with a container that is asked to stop (`internal/gcs/container.go`). */
const stopTimeout = 30_000;

/** Answers to a shutdown that mean that there is nothing left to stop; the last is upstream's agent's. */
const goneCodes = ['ERROR_NOT_FOUND', 'HCS_E_SYSTEM_NOT_FOUND', 'HCS_E_SYSTEM_ALREADY_STOPPED'] as const;

type ContainerState = 'created' | 'starting' | 'running' | 'stopped' | 'deleted';

/**
 * A container in a Linux utility VM. Created → starting → running → stopped → deleted; disposing stops it if need be,
 * removes it from the guest and takes its disks off the VM.
 */
export class LinuxContainer implements AsyncDisposable {
  readonly id: string;
  readonly vm: UtilityVm;
  readonly #spec: OciSpec;
  readonly #owned: AsyncDisposableStack;
  #state: ContainerState = 'created';
  #starting: Promise<GuestProcess> | undefined;
  #init: GuestProcess | undefined;

  private constructor(vm: UtilityVm, options: LinuxContainerOptions, owned: AsyncDisposableStack) {
    this.id = options.id;
    this.vm = vm;
    this.#spec = options.spec;
    this.#owned = owned;
  }

  /** Makes the container's root from its disks and creates it in the guest. A failure leaves nothing behind. */
  static async create(
    vm: UtilityVm,
    options: LinuxContainerOptions,
    { signal }: CallOptions = {},
  ): Promise<LinuxContainer> {
    const { id } = options;
    const call = signal ? { signal } : {};
    // Upstream's places: the bundle is on the scratch disk, so that what the agent writes there needs no memory.
    const directory = `/run/gcs/c/${id}`;
    const rootPath = `${directory}/rootfs`;
    const scratchPath = `${directory}/scratch/${id}`;
    const spec = guestSpec(options.spec, id, rootPath);

    await using undo = new AsyncDisposableStack();
    let created = false;
    // Last of all: upstream's agent deletes the bundle with everything that is mounted in it.
    undo.defer(async () => {
      if (created) await vm.guest.deleteContainerState(id);
    });
    const disks = await phase('container: mount disks', id, async () => {
      const requests = [
        ...options.layers.map((path) => ({ path, readOnly: true })),
        { path: options.scratch, readOnly: false, guestPath: directory },
      ];
      const mounting = await Promise.allSettled(requests.map((request) => vm.disks.mount(request, call)));
      for (const result of mounting) if (result.status === 'fulfilled') undo.use(result.value);
      return mounting.map((result) => {
        if (result.status === 'rejected') throw result.reason;
        return result.value;
      });
    });
    const combined = {
      ContainerID: id,
      ContainerRootPath: rootPath,
      Layers: disks.slice(0, -1).map(({ guestPath }) => ({ Path: guestPath })),
      ScratchPath: scratchPath,
    };
    await phase('container: combine layers', id, () =>
      vm.guest.modifySettings({ RequestType: 'Add', ResourceType: 'CombinedLayers', Settings: combined }),
    );
    undo.defer(() =>
      vm.guest.modifySettings({ RequestType: 'Remove', ResourceType: 'CombinedLayers', Settings: combined }),
    );
    await phase('container: create', id, () =>
      vm.guest.createContainer(id, {
        SchemaVersion: { Major: 2, Minor: 1 },
        OciBundlePath: directory,
        OciSpecification: spec,
        ScratchDirPath: scratchPath,
      }),
    );
    created = true;
    signal?.throwIfAborted();
    return new LinuxContainer(vm, { ...options, spec }, undo.move());
  }

  get state(): ContainerState {
    return this.#state;
  }

  /** The first process, once the container has started. */
  get init(): GuestProcess | undefined {
    return this.#init;
  }

  /** Starts the process that the spec describes. Throws when it cannot, for example for a missing command. */
  async start(stdio: StdioRequest, options: CallOptions = {}): Promise<GuestProcess> {
    this.#expect('start', 'created');
    this.#state = 'starting';
    this.#starting = this.#startInit(stdio, options);
    let init: GuestProcess;
    try {
      init = await this.#starting;
    } catch (error) {
      this.#state = 'created';
      throw error;
    }
    this.#init = init;
    this.#state = 'running';
    const stopped = (): void => {
      if (this.#state === 'running') this.#state = 'stopped';
    };
    init.wait().then(stopped, stopped);
    return init;
  }

  async #startInit(stdio: StdioRequest, options: CallOptions): Promise<GuestProcess> {
    const terminal = this.#spec.process?.terminal ?? false;
    return phase('container: start', this.id, async () => {
      await untilAborted(this.vm.guest.startContainer(this.id), options.signal);
      return this.vm.createContainerProcess(this.id, { EmulateConsole: terminal }, stdio, options);
    });
  }

  /** Starts one more process in the running container. */
  async exec(process: OciProcess, stdio: StdioRequest, options: CallOptions = {}): Promise<GuestProcess> {
    this.#expect('exec in', 'running');
    const terminal = process.terminal ?? false;
    return phase('container: exec', this.id, () =>
      this.vm.createContainerProcess(
        this.id,
        { EmulateConsole: terminal, OciProcess: process },
        stdio,
        options,
      ),
    );
  }

  /** Process ids of the container, as the guest counts them. */
  async processes(): Promise<number[]> {
    const properties = await this.vm.guest.getProperties(this.id, ['ProcessList']);
    return (properties.ProcessList ?? []).map(({ ProcessId }) => ProcessId);
  }

  /** Cgroup metrics in the shape of containerd's cgroups v1 `Metrics`. */
  async statistics(): Promise<unknown> {
    const properties = await this.vm.guest.getProperties(this.id, ['Statistics']);
    return properties.LCOWMetrics;
  }

  /**
   * Stops a running container: asks, waits, then kills. Every step has its deadline.
   *
   * @param options.patience How long the container may take after it was asked, in milliseconds. @default 30000
   */
  async stop({ signal, patience = stopTimeout }: CallOptions & { patience?: number } = {}): Promise<void> {
    const init = this.#init;
    if (this.#state !== 'running' || !init) return;
    for (const how of ['graceful', 'forced'] as const) {
      try {
        await withDeadline(
          {
            signal,
            timeout: how === 'graceful' ? patience : stopTimeout,
            action: `Cannot stop container "${this.id}"`,
          },
          async (deadline) => {
            await this.vm.guest.shutdownContainer(this.id, how, { signal: deadline });
            await init.wait({ signal: deadline });
          },
        );
        return;
      } catch (error) {
        if (isHcsError(error, ...goneCodes)) return;
        if (how === 'forced' || !isHcsError(error, 'HCS_E_OPERATION_TIMEOUT')) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'deleted') return;
    if (this.#state === 'starting') await this.#starting?.catch(() => {});
    if (this.#state !== 'stopped') await this.#end();
    this.#state = 'deleted';
    await this.#owned.disposeAsync();
  }

  /**
   * Whatever the guest answers, the disks go next. A container that never ran is shut down, too: upstream's agent
   * has a process of it already, which holds the disks. Its exit is not told of, as nobody waits for that process.
   */
  async #end(): Promise<void> {
    await this.vm.guest.shutdownContainer(this.id, 'forced').catch(() => {});
    await this.#init?.wait({ signal: AbortSignal.timeout(stopTimeout) }).catch(() => {});
  }

  #expect(action: string, wanted: ContainerState): void {
    if (this.#state === wanted) return;
    throw new HcsError({
      action: `Cannot ${action} container "${this.id}"`,
      problem: `it is ${this.#state}, it must be ${wanted}`,
      code: this.#state === 'stopped' ? 'HCS_E_SYSTEM_ALREADY_STOPPED' : 'HCS_E_INVALID_STATE',
    });
  }
}
