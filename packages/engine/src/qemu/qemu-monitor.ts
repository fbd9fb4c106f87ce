import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import { type CallOptions, HcsError, phase, type SystemExit, withDeadline } from '@hcsshim/hcs';
import type { ScsiAttachment, SystemStatistics } from '@hcsshim/schema';
import type { CheckedDocument } from '../document.ts';
import type { Monitor, MonitorKind, MonitorOptions } from '../monitor.ts';
import { VhostUserVsock } from '../vsock/index.ts';
import { type Accelerator, type AcceleratorName, chooseAccelerator } from './accelerator.ts';
import { defaultCacheDirectory } from './cache-directory.ts';
import { buildCommandLine, type DiskSlot, vsockDevice } from './command-line.ts';
import { openDiskImage } from './disk-image.ts';
import { type MachinePlan, planMachine, sharedRootDisk } from './machine.ts';
import { MachineMemory } from './machine-memory.ts';
import { processStatistics } from './process-statistics.ts';
import { findQemu, type QemuProgram } from './qemu-program.ts';
import { attachDisk, detachDisk } from './scsi-disks.ts';
import { cloneTemplate, makeTemplate } from './template.ts';
import { templateKey } from './template-key.ts';
import { TemplateStore } from './template-store.ts';
import { VirtualMachine } from './virtual-machine.ts';

export interface QemuOptions {
  /** @default the first `qemu-system-x86_64` on PATH */
  qemuPath?: string;
  /** `auto` takes KVM where a guest really runs on it, and emulation elsewhere. @default 'auto' */
  accelerator?: AcceleratorName | 'auto';
  /** @default $HCSSHIM_CACHE, else /var/cache/hcsshim for root and $XDG_CACHE_HOME/hcsshim for others */
  cacheDirectory?: string;
  /**
   * Whether a VM begins as the clone of one that has booted already, and where those are kept. The first
   * start of a kind of VM makes its template and takes the longer. @default { directory: '<cache>/templates' }
   */
  templates?: { directory: string } | false;
  /** Told, in a sentence, of what went wrong without being anybody's error. @default dropped */
  log?: (message: string) => void;
}

/**
 * Runs compute systems as VMs in QEMU. Needs no root: nothing is mounted, no network or loop device is made.
 * The guest's vsock is always served by this process, also where the kernel could (`/dev/vhost-vsock`).
 */
export function createQemuMonitorKind(options: QemuOptions = {}): MonitorKind {
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory();
  const { directory } = options.templates || { directory: join(cacheDirectory, 'templates') };
  const templates = options.templates === false ? undefined : new TemplateStore(directory);
  return {
    name: 'qemu',
    create: async (monitor) => {
      const { program: qemu, accelerator } = await describeQemu({ ...options, cacheDirectory });
      const document = monitor.document as CheckedDocument;
      const plan = await planMachine(monitor.id, document, qemu, accelerator);
      const log = options.log ?? (() => {});
      const { Count } = document.VirtualMachine.ComputeTopology.Processor;
      if (plan.machine.processors < Count) {
        log(`VM "${monitor.id}" has 1 processor instead of ${Count}: more would slow it down without KVM`);
      }
      return QemuMonitor.create(monitor, { qemu, plan, templates, log });
    },
  };
}

/** What would run VMs here. */
export interface QemuDescription {
  program: QemuProgram;
  /** With the reason when it is not KVM. */
  accelerator: Accelerator;
}

/** Finds out what VMs would run on, for diagnoses. Throws HCS_E_SERVICE_NOT_AVAILABLE where there is no QEMU. */
export async function describeQemu(options: QemuOptions = {}): Promise<QemuDescription> {
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory();
  const program = await findQemu(cacheDirectory, options.qemuPath);
  const { accelerator } = options;
  return { program, accelerator: await chooseAccelerator(program, { accelerator, cacheDirectory }) };
}

interface QemuMonitorParts {
  qemu: QemuProgram;
  plan: MachinePlan;
  templates: TemplateStore | undefined;
  log: (message: string) => void;
}

/** Each VM has a backend of its own, so all may have the same. */
const guestCid = 3;
/** In milliseconds. */
const bootstrapTimeout = 10_000;
/** In milliseconds. Measured: 100 to 200, and seconds on a busy host. */
const hotplugTimeout = 60_000;

class QemuMonitor implements Monitor {
  readonly exited: Promise<SystemExit>;
  readonly #options: MonitorOptions;
  readonly #parts: QemuMonitorParts;
  readonly #vsock: VhostUserVsock;
  readonly #end = Promise.withResolvers<SystemExit>();
  readonly #abort = new AbortController();
  /** All QEMUs that run for this system, also one that only makes a template. */
  readonly #running = new Set<VirtualMachine>();
  #starting: Promise<void> | undefined;
  #vm: VirtualMachine | undefined;
  #startedAt = 0;

  private constructor(options: MonitorOptions, parts: QemuMonitorParts, vsock: VhostUserVsock) {
    this.#options = options;
    this.#parts = parts;
    this.#vsock = vsock;
    this.exited = this.#end.promise;
  }

  static async create(options: MonitorOptions, parts: QemuMonitorParts): Promise<QemuMonitor> {
    const socketPath = join(options.directory, 'vsock.sock');
    const vsock = await VhostUserVsock.listen({ socketPath, guestCid });
    vsock.on('fault', (fault) => parts.log(`The vsock of VM "${options.id}" stopped: ${fault.message}`));
    return new QemuMonitor(options, parts, vsock);
  }

  get processIds(): number[] {
    return [...this.#running].map(({ pid }) => pid);
  }

  async start(options: CallOptions): Promise<void> {
    const signals = [this.#abort.signal, options.signal].filter((signal) => signal !== undefined);
    this.#starting = phase('qemu: start', this.#options.id, () => this.#start(AbortSignal.any(signals)));
    await this.#starting;
  }

  /** Through the agent: an ACPI power button would need a daemon in the guest. */
  async shutdown({ signal }: CallOptions): Promise<void> {
    await this.#current.bootstrap.send({ command: 'shutdown' }, { signal, timeout: bootstrapTimeout });
  }

  /** Through the agent: an NMI ends in a log line unless the guest's kernel is told to panic at it. */
  async crash({ signal }: CallOptions): Promise<void> {
    await this.#current.bootstrap.send({ command: 'crash' }, { signal, timeout: bootstrapTimeout });
  }

  async terminate(): Promise<void> {
    this.#abort.abort(
      new HcsError({
        action: `Cannot start VM "${this.#options.id}"`,
        problem: 'it was terminated meanwhile',
        code: 'HCS_E_TERMINATED_DURING_START',
      }),
    );
    await this.#starting?.catch(() => {});
    await this.#vm?.terminate();
    this.#end.resolve({ type: 'ForcedExit', reason: 'it was terminated before it ran' });
    await this.exited;
  }

  async pause({ signal }: CallOptions): Promise<void> {
    await this.#current.qmp.execute('stop', {}, { signal });
  }

  async resume({ signal }: CallOptions): Promise<void> {
    await this.#current.qmp.execute('cont', {}, { signal });
  }

  async attachScsi(
    controller: number,
    lun: number,
    disk: ScsiAttachment,
    { signal }: CallOptions,
  ): Promise<void> {
    this.#requireController(controller);
    const action = `Cannot attach "${disk.Path}" to compute system "${this.#options.id}"`;
    const image = await openDiskImage(action, disk);
    await phase('qemu: attach disk', disk.Path, () =>
      attachDisk(this.#current.qmp, { controller, lun, image }, signal),
    );
  }

  async detachScsi(controller: number, lun: number, { signal }: CallOptions): Promise<void> {
    this.#requireController(controller);
    await phase('qemu: detach disk', `${controller}:${lun}`, () =>
      detachDisk(this.#current.qmp, controller, lun, signal),
    );
  }

  async statistics(): Promise<SystemStatistics> {
    return {
      Timestamp: new Date().toISOString(),
      Uptime100ns: Math.round((performance.now() - this.#startedAt) * 10_000),
      ...(await processStatistics(this.#current.pid)),
    };
  }

  async listen(port: number): Promise<HvListener> {
    return this.#vsock.listen(port);
  }

  async connect(port: number, options: CallOptions): Promise<Duplex> {
    return this.#vsock.connect(port, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate();
    await this.#vsock[Symbol.asyncDispose]();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const vm = (await this.#startClone(signal)) ?? (await this.#boot(signal));
    this.#vm = vm;
    this.#startedAt = performance.now();
    void vm.exited.then((exit) => this.#end.resolve(exit));
    // Aborted on the last step: a start that rejects leaves nothing running.
    if (signal.aborted) await vm.terminate();
    signal.throwIfAborted();
  }

  /** A clone that runs, or undefined when this VM has to boot. */
  async #startClone(signal: AbortSignal): Promise<VirtualMachine | undefined> {
    const { qemu, plan, templates, log } = this.#parts;
    const { id, directory } = this.#options;
    const rootDisk = sharedRootDisk(plan.disks);
    // A console that somebody waits at shows a boot, which a clone has behind it.
    if (!templates || !rootDisk || plan.consoleSocketPath !== undefined) return undefined;
    const options = {
      qemu,
      machine: plan.machine,
      rootDisk,
      subject: id,
      directory,
      signal,
      onLaunch: this.#watch,
    };
    const key = await templateKey(qemu, plan.machine, rootDisk);
    try {
      const template = await templates.findOrMake(key, { signal }, (unfinished) =>
        makeTemplate(options, unfinished),
      );
      try {
        const vm = await phase('qemu: clone', id, () => cloneTemplate(options, template));
        return await this.#wake(
          vm,
          plan.disks.filter((disk) => disk !== rootDisk),
          signal,
        );
      } catch (error) {
        // Whatever is wrong with it, the next start makes a new one.
        if (!signal.aborted) await templates.discard(key);
        throw error;
      }
    } catch (error) {
      signal.throwIfAborted();
      log(`VM "${id}" boots instead of beginning as a clone: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Gives a clone what is its own, and lets it run. */
  async #wake(vm: VirtualMachine, disks: DiskSlot[], signal: AbortSignal): Promise<VirtualMachine> {
    const { id, runtimeId } = this.#options;
    try {
      await phase('qemu: add devices', id, async () => {
        await vm.qmp.execute('chardev-add', this.#vsockChardev, { signal });
        await vm.qmp.execute('device_add', vsockDevice(), { signal });
        for (const disk of disks) await attachDisk(vm.qmp, disk, signal);
      });
      await phase('qemu: resume', id, () => this.#resumeUntilVsock(vm, signal));
      // Only now: an agent that is awake dials again and again, and keeps the one processor from the hot-plug.
      await vm.bootstrap.send(
        {
          command: 'wake',
          time: Date.now(),
          entropy: randomBytes(64).toString('base64'),
          hostname: hostnameOf(id, runtimeId),
        },
        { signal, timeout: bootstrapTimeout },
      );
      return vm;
    } catch (error) {
      await vm.terminate();
      throw error;
    }
  }

  /** Resolves when the guest's driver has set its vsock up, which also proves that the clone is alive. */
  async #resumeUntilVsock(vm: VirtualMachine, signal: AbortSignal): Promise<void> {
    const action = `Cannot wake VM "${this.#options.id}"`;
    await withDeadline({ signal, timeout: hotplugTimeout, action }, async (deadline) => {
      const ready = once(this.#vsock, 'device', { signal: deadline });
      ready.catch(() => {});
      await vm.qmp.execute('cont', {}, { signal: deadline });
      await vm.orEnd(action, ready);
    });
  }

  /** A VM that begins with its kernel. */
  async #boot(signal: AbortSignal): Promise<VirtualMachine> {
    const { qemu, plan } = this.#parts;
    using memory = new MachineMemory(plan.machine.memoryMb);
    return await phase('qemu: boot', this.#options.id, () =>
      VirtualMachine.launch({
        program: qemu.path,
        arguments: buildCommandLine(plan.machine, {
          name: this.#options.id,
          disks: plan.disks,
          vsockSocketPath: this.#vsock.socketPath,
          ...(plan.consoleSocketPath === undefined ? {} : { consoleSocketPath: plan.consoleSocketPath }),
          incoming: false,
        }),
        memoryFd: memory.fd,
        signal,
        onLaunch: this.#watch,
      }),
    );
  }

  readonly #watch = (vm: VirtualMachine): void => {
    this.#running.add(vm);
    void vm.exited.then(() => this.#running.delete(vm));
  };

  get #vsockChardev(): Record<string, unknown> {
    const addr = { type: 'unix', data: { path: this.#vsock.socketPath } };
    return { id: 'vsock', backend: { type: 'socket', data: { addr, server: false } } };
  }

  get #current(): VirtualMachine {
    if (this.#vm) return this.#vm;
    throw new HcsError({
      action: `Cannot reach VM "${this.#options.id}"`,
      problem: 'it does not run, start it',
      code: 'HCS_E_INVALID_STATE',
    });
  }

  #requireController(controller: number): void {
    const { scsiControllers } = this.#parts.plan.machine;
    if (controller < scsiControllers) return;
    throw new HcsError({
      action: `Cannot use SCSI controller ${controller} of VM "${this.#options.id}"`,
      problem: `it has controllers 0 to ${scsiControllers - 1}, name more of them in the document`,
      code: 'ERROR_NOT_FOUND',
    });
  }
}

/** The system's id where it is a valid host name, else its GUID. */
function hostnameOf(id: string, runtimeId: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(id) ? id : runtimeId;
}
