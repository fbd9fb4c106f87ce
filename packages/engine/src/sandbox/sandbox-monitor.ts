import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import { type CallOptions, HcsError, phase, type SystemExit } from '@hcsshim/hcs';
import type { ScsiAttachment, SystemStatistics } from '@hcsshim/schema';
import { type CheckedDocument, documentDisks } from '../document.ts';
import type { Monitor, MonitorKind, MonitorOptions } from '../monitor.ts';
import { childrenOf } from '../process-identity.ts';
import { cgroupName, SystemCgroup } from '../system-cgroup.ts';
import { AgentProcess } from './agent-process.ts';
import { LoopDisks } from './loop-disks.ts';
import { signalNamespace } from './stopped-processes.ts';
import { UnixHvSockets } from './unix-hv-sockets.ts';

export interface SandboxOptions {
  /**
   * The guest agent's program and first arguments. It gets `--sandbox <directory>` and
   * `--cgroup-parent <path>` as well.
   */
  agentCommand: readonly string[];
}

/**
 * Runs compute systems without a VM: the guest agent in namespaces of its own on the host's kernel. That
 * isolates little; it is for development, tests and hosts without QEMU. What a document says of kernel,
 * memory and processors is ignored. Needs root.
 */
export function createSandboxMonitorKind({ agentCommand }: SandboxOptions): MonitorKind {
  return {
    name: 'sandbox',
    bootsKernel: false,
    create: (options) => SandboxMonitor.create(options, agentCommand),
  };
}

class SandboxMonitor implements Monitor {
  readonly exited: Promise<SystemExit>;
  readonly #id: string;
  readonly #command: readonly string[];
  readonly #cgroup: SystemCgroup;
  readonly #disks: LoopDisks;
  readonly #sockets: UnixHvSockets;
  readonly #owned: AsyncDisposableStack;
  readonly #end = Promise.withResolvers<SystemExit>();
  #starting: Promise<void> | undefined;
  #agent: AgentProcess | undefined;
  #startedAt = 0;
  #terminated = false;

  private constructor(
    id: string,
    command: readonly string[],
    parts: { cgroup: SystemCgroup; disks: LoopDisks; sockets: UnixHvSockets; owned: AsyncDisposableStack },
  ) {
    this.#id = id;
    this.#command = command;
    this.#cgroup = parts.cgroup;
    this.#disks = parts.disks;
    this.#sockets = parts.sockets;
    this.#owned = parts.owned;
    this.exited = this.#end.promise;
  }

  static async create(
    { id, runtimeId, document, directory }: MonitorOptions,
    agentCommand: readonly string[],
  ): Promise<SandboxMonitor> {
    if (process.geteuid?.() !== 0) {
      throw new HcsError({
        action: `Cannot create sandbox "${id}"`,
        problem: 'namespaces, mounts and loop devices need root; run as root or with --engine qemu',
        code: 'E_ACCESSDENIED',
      });
    }
    await using undo = new AsyncDisposableStack();
    const sockets = undo.use(await UnixHvSockets.create(directory));
    const disks = undo.use(new LoopDisks(directory));
    const cgroup = new SystemCgroup(cgroupName(id, runtimeId));
    undo.defer(() => cgroup.remove());
    undo.defer(() => cgroup.kill());
    cgroup.create();
    for (const { controller, lun, attachment } of documentDisks(document as CheckedDocument)) {
      await disks.attach(controller, lun, attachment);
    }
    const command = [...agentCommand, '--sandbox', directory, '--cgroup-parent', cgroup.name];
    return new SandboxMonitor(id, command, { cgroup, disks, sockets, owned: undo.move() });
  }

  get processIds(): number[] {
    return this.#agent?.pids ?? [];
  }

  async start({ signal }: CallOptions): Promise<void> {
    this.#starting = phase('sandbox: start', this.#id, () => this.#spawn());
    await this.#starting;
    if (!signal?.aborted) return;
    await this.terminate();
    throw signal.reason;
  }

  async shutdown(): Promise<void> {
    this.#agent?.signal('SIGTERM');
  }

  async terminate(): Promise<void> {
    this.#terminated = true;
    await this.#starting?.catch(() => {});
    if (this.#agent) {
      this.#cgroup.thaw();
      this.#agent.kill();
    } else {
      this.#end.resolve({ type: 'ForcedExit', reason: 'it was terminated before it was started' });
    }
    await this.exited;
  }

  async pause({ signal }: CallOptions): Promise<void> {
    if (!this.#cgroup.canFreeze) {
      this.#signalAll('SIGSTOP');
      return;
    }
    try {
      await this.#cgroup.freeze(signal);
    } catch (error) {
      this.#cgroup.thaw();
      throw error;
    }
  }

  async resume(): Promise<void> {
    if (this.#cgroup.canFreeze) this.#cgroup.thaw();
    else this.#signalAll('SIGCONT');
  }

  async attachScsi(
    controller: number,
    lun: number,
    disk: ScsiAttachment,
    { signal }: CallOptions,
  ): Promise<void> {
    await phase('sandbox: attach disk', disk.Path, () => this.#disks.attach(controller, lun, disk, signal));
  }

  async detachScsi(controller: number, lun: number): Promise<void> {
    await this.#disks.detach(controller, lun);
  }

  async statistics(): Promise<SystemStatistics> {
    const { cpuNanoseconds, memoryBytes } = this.#cgroup.usage();
    if (cpuNanoseconds === undefined || memoryBytes === undefined) {
      throw new HcsError({
        action: `Cannot read statistics of sandbox "${this.#id}"`,
        problem: 'the host counts neither CPU time nor memory in cgroups',
        code: 'ERROR_NOT_SUPPORTED',
      });
    }
    return {
      Timestamp: new Date().toISOString(),
      Uptime100ns: (Date.now() - this.#startedAt) * 10_000,
      Processor: { TotalRuntime100ns: Math.floor(cpuNanoseconds / 100) },
      Memory: { MemoryUsageCommitBytes: memoryBytes },
    };
  }

  async listen(port: number): Promise<HvListener> {
    return this.#sockets.listen(port);
  }

  async connect(port: number, options: CallOptions): Promise<Duplex> {
    return this.#sockets.connect(port, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate();
    await this.#owned.disposeAsync();
  }

  async #spawn(): Promise<void> {
    const agent = await AgentProcess.spawn(this.#command, `Cannot start sandbox "${this.#id}"`);
    this.#agent = agent;
    this.#startedAt = Date.now();
    void agent.exited.then((exit) =>
      this.#end.resolve(this.#terminated ? { type: 'ForcedExit', reason: 'it was terminated' } : exit),
    );
    await this.#enterCgroup(agent);
  }

  /**
   * The agent is started outside its cgroup and moved while it is still loading. What it starts afterwards is
   * inside from the beginning; what it may have started before is moved as well.
   */
  async #enterCgroup(agent: AgentProcess): Promise<void> {
    const entered = new Set<number>();
    for (;;) {
      const pids = agent.pids.flatMap((pid) => [pid, ...childrenOf(pid)]).filter((pid) => !entered.has(pid));
      if (pids.length === 0) return;
      for (const pid of pids) {
        entered.add(pid);
        await this.#cgroup.enter(pid);
      }
    }
  }

  #signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const agent = this.processIds.at(-1);
    if (agent !== undefined) signalNamespace(agent, signal);
  }
}
