import type { StdioOptions } from 'node:child_process';
import { join } from 'node:path';
import {
  type ContainerConstraints,
  type ContainerMetrics,
  type GuestNotificationType,
  HcsError,
  type OciProcess,
  type OciSpec,
} from '@hcsshim/schema';
import { cgroupReader, findCgroups } from '../cgroup/cgroup-mounts.ts';
import { readMetrics } from '../cgroup/metrics.ts';
import { Console } from '../processes/console.ts';
import { GuestProcess } from '../processes/guest-process.ts';
import type { GuestTransport } from '../processes/guest-transport.ts';
import type { ProcessReaper } from '../processes/process-reaper.ts';
import { ProcessTable } from '../processes/process-table.ts';
import { Stdio, type StdioPorts } from '../processes/stdio.ts';
import { StdioPipes } from '../processes/stdio-pipes.ts';
import type { OciRuntime, RuntimeProcess } from '../runtime/oci-runtime.ts';
import { removeTree } from '../storage/mount-table.ts';
import { withUserIds } from './container-spec.ts';

/** What containers and processes are made with. */
export interface ContainerServices {
  runtime: OciRuntime;
  transport: GuestTransport;
  reaper: ProcessReaper;
}

export interface ContainerOptions {
  id: string;
  /** Directory with `config.json`. */
  bundle: string;
  /** As it is in `config.json`. */
  spec: OciSpec;
  /** Where the container's writable files are, or '' when it has none. */
  scratch: string;
}

/** How the end of a container is told to the host. */
export type ExitType = Extract<GuestNotificationType, 'GracefulExit' | 'ForcedExit' | 'UnexpectedExit'>;

/** Created → starting → running → stopped; starting falls back to created when the command cannot be run. */
export type ContainerState = 'created' | 'starting' | 'running' | 'stopped';

const SIGTERM = 15;
const SIGKILL = 9;

/** A signal that ends a container on purpose, and how its end is then called. */
const exitTypes: Record<number, ExitType> = { [SIGTERM]: 'GracefulExit', [SIGKILL]: 'ForcedExit' };

/** A container in the guest. Its first process starts with the first ExecuteProcess, which brings its stdio. */
export class Container {
  readonly id: string;
  /** Resolves when the first process has ended, or when a container that never ran was shut down. */
  readonly ended: Promise<ExitType>;
  readonly #services: ContainerServices;
  readonly #options: ContainerOptions;
  readonly #processes: ProcessTable;
  readonly #end = Promise.withResolvers<ExitType>();
  #state: ContainerState = 'created';
  #exitType: ExitType = 'UnexpectedExit';
  #init: GuestProcess | undefined;

  constructor(services: ContainerServices, options: ContainerOptions) {
    this.id = options.id;
    this.ended = this.#end.promise;
    this.#services = services;
    this.#options = options;
    this.#processes = new ProcessTable(`container "${options.id}"`);
  }

  get state(): ContainerState {
    return this.#state;
  }

  /** Starts the first process, as the spec describes it. Returns its id. */
  async start(ports: StdioPorts): Promise<number> {
    this.#expect('start', 'created');
    this.#state = 'starting';
    try {
      const terminal = this.#options.spec.process?.terminal ?? false;
      const init = await this.#launch(ports, terminal, (stdio) =>
        this.#services.runtime.run({ id: this.id, bundle: this.#options.bundle, stdio, terminal }),
      );
      this.#init = init;
      this.#state = 'running';
      void init.exited.then(() => this.#stopped());
      return init.pid;
    } catch (error) {
      this.#state = 'created';
      throw error;
    }
  }

  /** Starts a further process in the running container. Returns its id. */
  async exec(process: OciProcess, ports: StdioPorts): Promise<number> {
    this.#expect('run a process in', 'running');
    const described = await this.#completed(process);
    const started = await this.#launch(ports, process.terminal ?? false, (stdio) =>
      this.#services.runtime.exec({ id: this.id, process: described, stdio }),
    );
    return started.pid;
  }

  /** Throws ERROR_NOT_FOUND. */
  process(pid: number): GuestProcess {
    return this.#processes.get(pid);
  }

  /** Signals one process. */
  signal(pid: number, signal: number): void {
    const process = this.#processes.get(pid);
    process.kill(signal);
    // Its exit is collected in a later turn of the loop, so this is not too late.
    if (process === this.#init) this.#exitType = exitTypes[signal] ?? this.#exitType;
  }

  /** Signals all processes to end. */
  async shutdown(how: 'graceful' | 'forced'): Promise<void> {
    const signal = how === 'graceful' ? SIGTERM : SIGKILL;
    const before = this.#exitType;
    if (this.#state !== 'created') this.#expect('shut down', 'running');
    this.#exitType = exitTypes[signal] ?? before;
    if (this.#state === 'created') {
      this.#stopped();
      return;
    }
    try {
      await this.#services.runtime.kill(this.id, signal, { all: true });
    } catch (error) {
      this.#exitType = before;
      throw error;
    }
  }

  /** Ids of all its processes. */
  async processIds(): Promise<number[]> {
    return this.#state === 'running' ? this.#services.runtime.processes(this.id) : [];
  }

  metrics(): ContainerMetrics {
    const cgroups = findCgroups();
    return readMetrics(cgroups.version, cgroupReader(cgroups, this.#options.spec.linux?.cgroupsPath ?? ''));
  }

  async update({ Linux: resources }: ContainerConstraints): Promise<void> {
    this.#expect('change the limits of', 'running');
    if (resources) await this.#services.runtime.update(this.id, resources);
  }

  /**
   * Removes all that is left of it, killing what still runs: the runtime's state, its mounts, its directory, and
   * its part of a shared scratch disk. Each step is tried; the first error is thrown at the end.
   */
  async delete(): Promise<void> {
    const { bundle, scratch } = this.#options;
    const steps = [
      () => this.#services.runtime.delete(this.id),
      () => removeTree(join(bundle, 'rootfs')),
      // A scratch disk of its own is mounted in the bundle: unmounted with it, its contents are the host's.
      () => (scratch === '' || isInside(scratch, bundle) ? undefined : removeTree(scratch)),
      () => removeTree(bundle),
    ];
    const errors: unknown[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (this.#state !== 'running') this.#stopped();
    if (errors.length > 0) throw errors[0];
  }

  async #launch(
    ports: StdioPorts,
    terminal: boolean,
    run: (stdio: StdioOptions) => Promise<RuntimeProcess>,
  ): Promise<GuestProcess> {
    using stdio = await Stdio.connect(this.#services.transport, ports);
    using pipes = terminal ? undefined : new StdioPipes(stdio);
    using _orphans = this.#services.reaper.holdOrphans();
    const { pid, terminalFd } = await run(pipes?.forSpawn ?? 'ignore');
    const console = terminal && terminalFd !== undefined ? new Console(terminalFd, stdio) : undefined;
    const process = new GuestProcess(pid, this.#services.reaper.exitOf(pid), console);
    this.#processes.add(process);
    return process;
  }

  /** What the host left out of a process is as in the container's own. */
  async #completed(process: OciProcess): Promise<OciProcess> {
    const own = this.#options.spec.process;
    const { user: asked } = process;
    const named = asked.username || asked.uid !== undefined;
    return {
      ...(await withUserIds(named ? process : { ...process, user: own?.user ?? {} }, this.#rootPath)),
      cwd: process.cwd || own?.cwd || '/',
      ...(own?.rlimits ? { rlimits: own.rlimits } : {}),
    };
  }

  get #rootPath(): string {
    return this.#options.spec.root?.path ?? '';
  }

  #stopped(): void {
    this.#state = 'stopped';
    this.#end.resolve(this.#exitType);
  }

  #expect(action: string, wanted: ContainerState): void {
    if (this.#state === wanted) return;
    throw new HcsError({
      action: `Cannot ${action} container "${this.id}"`,
      problem: `it is ${this.#state} and must be ${wanted}`,
      code: this.#state === 'stopped' ? 'ERROR_NOT_FOUND' : 'HCS_E_INVALID_STATE',
    });
  }
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
