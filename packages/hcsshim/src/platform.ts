import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HvSocket } from '@hcsshim/bridge';
import { type ContainerAnnotations, LinuxContainer, parseAnnotations } from '@hcsshim/containers';
import type { NetworkService } from '@hcsshim/hcn';
import { type CallOptions, type ComputeService, HcsError, phase } from '@hcsshim/hcs';
import type { OciSpec } from '@hcsshim/schema';
import { type BootFiles, type LinuxVmOptions, UtilityVm } from '@hcsshim/uvm';
import { defaultSpec, type ProcessOptions } from './default-spec.ts';
import { bootDirectory, cacheDirectory } from './directories.ts';
import { parseEngineName } from './engine-name.ts';
import { ExpectedVm } from './expected-vm.ts';
import { builtBootDirectory } from './installation.ts';
import { OwnedContainer } from './owned-container.ts';
import {
  openServices,
  type PlatformServices,
  type ServiceName,
  type ServiceOptions,
} from './platform-services.ts';
import { PlatformStorage, type RootDisks, type RootSource } from './platform-storage.ts';

export interface PlatformOptions extends ServiceOptions {
  /** Directory with `vmlinux`, `initrd.img` and `rootfs.vhd`. @default `$HCSSHIM_BOOT`, else the checkout's `out`, else the cache's `boot` */
  bootDirectory?: string;
  /** Services to use in place of the machine's own, the caller's to dispose. @default none */
  services?: Partial<Omit<PlatformServices, keyof AsyncDisposable>>;
  /** Receives the guests' logs, a line of JSON at a time. @default dropped */
  guestLog?: (vmId: string, line: string) => void;
}

/** Options of a container that gets a VM to itself. */
export interface ContainerOptions extends ProcessOptions, CallOptions {
  /** Letters, digits, `-`, `_` and `.`. */
  id: string;
  /** A docker-archive or OCI-layout tar, an OCI-layout directory, or a root file system. Or else give `rootMounts`. */
  image?: string;
  /** The root as containerd hands it over: mounts of a snapshotter. */
  rootMounts?: readonly { type: string; source: string; options: readonly string[] }[];
  /** A whole OCI spec. @default made from the image and the process options */
  spec?: OciSpec;
  /** Memory of the VM in MiB. Annotations of the spec win. @default 256 */
  memoryMb?: number;
  /** Processors of the VM. @default 2 */
  processors?: number;
  /** Size of the writable layer in GiB. @default 20, sparse; on Windows, which takes no sparse disks, 1 */
  scratchSizeGb?: number;
}

export interface StartOptions extends CallOptions {
  /** Called once the VM's start is under way, long before its agent answers. */
  onBoot?: () => void;
}

/** Upstream's name for the VM of a standalone container. */
const vmIdOf = (containerId: string): string => `${containerId}@vm`;
const containerIdPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const bytesPerGib = 1024 ** 3;
/** A disk that is not sparse takes what it can hold. */
const defaultScratchGb = process.platform === 'win32' ? 1 : 20;

/** Opens the services of this machine: those of Windows, or on Linux an engine of ours. */
export async function openPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const services = await openServices(options);
  const { services: replaced = {} } = options;
  return new Platform(options, { ...services, ...replaced });
}

/** The services of a machine: where VMs and containers come from. Disposing it ends those that are left. */
export class Platform implements AsyncDisposable {
  readonly #options: PlatformOptions;
  readonly #services: PlatformServices;
  /** Disks for containers: layers and scratch. */
  readonly storage: PlatformStorage;
  readonly #expected = new Map<string, ExpectedVm>();

  /** Use `openPlatform`. */
  constructor(options: PlatformOptions, services: PlatformServices) {
    this.#options = options;
    this.#services = services;
    this.storage = new PlatformStorage(cacheDirectory());
  }

  /** What stands for the Host Compute Service. */
  get engine(): ServiceName {
    return this.#services.name;
  }

  /** Compute systems: create, open, enumerate. */
  get compute(): ComputeService {
    return this.#services.compute;
  }

  /** Sockets between this host and the guests of its VMs. */
  get sockets(): HvSocket {
    return this.#services.sockets;
  }

  /** Networks, endpoints and namespaces of the Host Compute Network. Its code is loaded by the first call. */
  openNetwork(): Promise<NetworkService> {
    return this.#services.openNetwork();
  }

  /** Starts a Linux utility VM and connects to its agent. */
  async createLinuxVm(options: LinuxVmOptions & StartOptions): Promise<UtilityVm> {
    const { signal, onBoot, ...vm } = options;
    return UtilityVm.start(
      {
        compute: this.compute,
        sockets: this.sockets,
        ...(this.#options.guestLog ? { guestLog: this.#options.guestLog } : {}),
      },
      this.#services.hasGuest || vm.bootFiles ? vm : { ...vm, bootFiles: this.#bootFiles() },
      { ...(signal ? { signal } : {}), ...(onBoot ? { onBoot } : {}) },
    );
  }

  /**
   * Starts the VM of a container that `createContainer` will soon be asked for. Resolves when the start is
   * under way, or has failed: that is told by `createContainer`, which takes this VM when it would have made the same.
   */
  async expectContainer({
    id,
    annotations,
  }: {
    id: string;
    annotations?: Record<string, string>;
  }): Promise<void> {
    await this.forgetContainer(id);
    let options: LinuxVmOptions;
    try {
      checkContainerId(id);
      options = this.#vmOptions({ id }, parseAnnotations(annotations));
    } catch {
      return;
    }
    const booting = Promise.withResolvers<void>();
    const expected = new ExpectedVm(options, (signal) =>
      this.createLinuxVm({ ...options, signal, onBoot: booting.resolve }),
    );
    this.#expected.set(id, expected);
    await Promise.race([booting.promise, expected.settled]);
  }

  /** Ends the VM of an expected container that will not be created after all. */
  async forgetContainer(id: string): Promise<void> {
    await this.#claimExpected(id)?.[Symbol.asyncDispose]();
  }

  /**
   * Makes a container in a VM of its own; its process does not run yet. The VM starts while the root's disks
   * are made. A failure leaves nothing behind.
   */
  async createContainer(options: ContainerOptions): Promise<OwnedContainer> {
    const { signal } = options;
    await using expected = this.#claimExpected(options.id);
    checkContainerId(options.id);
    const annotations = parseAnnotations(options.spec?.annotations);
    this.#checkEngine(annotations);
    await using undo = new AsyncDisposableStack();
    // When one of the two fails the other is given up, and both have ended before the failure is told.
    const failure = new AbortController();
    const working = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
    const giveUp = (error: unknown): never => {
      failure.abort(error);
      throw error;
    };
    const starting = this.#startVm(expected, this.#vmOptions(options, annotations), working)
      .then((vm) => undo.use(vm))
      .catch(giveUp);
    const preparing = phase('storage: root disks', options.id, () =>
      this.storage.prepareRoot(rootSource(options), {
        scratchBytes: (annotations.scratchSizeGb ?? checkedScratchSize(options)) * bytesPerGib,
        signal: working,
      }),
    )
      .then((root) => undo.use(root))
      .catch(giveUp);
    const [started, prepared] = await Promise.allSettled([starting, preparing]);
    working.throwIfAborted();
    if (started.status === 'rejected') throw started.reason;
    if (prepared.status === 'rejected') throw prepared.reason;
    const vm: UtilityVm = started.value;
    const root: RootDisks = prepared.value;
    const create = (): Promise<LinuxContainer> =>
      LinuxContainer.create(vm, {
        id: options.id,
        spec: options.spec ?? defaultSpec(root.image, { ...options, hostname: options.id.slice(0, 63) }),
        layers: root.layers,
        scratch: root.scratch,
      });
    const container = await whileWanted(vm, signal, create);
    return new OwnedContainer(container, root.image, undo.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#expected.values()].map((expected) => expected[Symbol.asyncDispose]()));
    await this.#services[Symbol.asyncDispose]();
  }

  #claimExpected(id: string): ExpectedVm | undefined {
    const expected = this.#expected.get(id);
    this.#expected.delete(id);
    return expected;
  }

  /** The expected VM, or else, once that has ended, a new one. */
  async #startVm(
    expected: ExpectedVm | undefined,
    options: LinuxVmOptions,
    signal: AbortSignal,
  ): Promise<UtilityVm> {
    if (expected?.isFor(options)) return expected.take(signal);
    await expected?.[Symbol.asyncDispose]();
    return this.createLinuxVm({ ...options, signal });
  }

  #vmOptions(options: ContainerOptions, annotations: ContainerAnnotations): LinuxVmOptions {
    const memoryMb = annotations.memoryMb ?? options.memoryMb;
    const processors = annotations.processors ?? options.processors;
    return {
      id: vmIdOf(options.id),
      ...(memoryMb === undefined ? {} : { memoryMb }),
      ...(processors === undefined ? {} : { processors }),
      ...(annotations.processorLimit === undefined ? {} : { processorLimit: annotations.processorLimit }),
      ...(annotations.processorWeight === undefined ? {} : { processorWeight: annotations.processorWeight }),
      ...(annotations.kernelArguments === undefined ? {} : { kernelArguments: annotations.kernelArguments }),
      ...(annotations.bootFilesPath === undefined || this.#services.hasGuest
        ? {}
        : {
            bootFiles: bootFilesIn(annotations.bootFilesPath, 'the annotation must name another directory'),
          }),
    };
  }

  #bootFiles(): BootFiles {
    const directory = this.#options.bootDirectory ?? bootDirectory([builtBootDirectory]);
    return bootFilesIn(
      directory,
      'make them with "npm run boot:build" or set HCSSHIM_BOOT to where they are',
    );
  }

  #checkEngine({ engine }: ContainerAnnotations): void {
    if (engine === undefined || parseEngineName(engine) === this.engine) return;
    throw new HcsError({
      action: `Cannot use the ${engine} engine`,
      problem: `this platform was opened with the ${this.engine} engine`,
      code: 'E_INVALIDARG',
    });
  }
}

/** Runs `work` in a VM that is its own. A signal that aborts ends the VM at once: its guest may have hung. */
async function whileWanted<T>(
  vm: UtilityVm,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const end = (): void => void vm.system.terminate().catch(() => {});
  signal?.addEventListener('abort', end, { once: true });
  try {
    const result = await work();
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', end);
  }
}

/** Throws ERROR_FILE_NOT_FOUND, with the way to get it, when the directory lacks a file that a VM boots. */
function bootFilesIn(directory: string, remedy: string): BootFiles {
  const files = { kernel: 'vmlinux', initrd: 'initrd.img', rootfs: 'rootfs.vhd' };
  const missing = Object.values(files).filter((name) => !existsSync(join(directory, name)));
  if (missing.length > 0) {
    throw new HcsError({
      action: `Cannot boot a VM from "${directory}"`,
      problem: `there is no ${missing.join(', ')} in it, ${remedy}`,
      code: 'ERROR_FILE_NOT_FOUND',
    });
  }
  return {
    kernel: join(directory, files.kernel),
    initrd: join(directory, files.initrd),
    rootfs: join(directory, files.rootfs),
  };
}

function rootSource({ id, image, rootMounts }: ContainerOptions): RootSource {
  if (image !== undefined) return { image };
  if (rootMounts !== undefined) return { mounts: rootMounts };
  throw new HcsError({
    action: `Cannot create container "${id}"`,
    problem: 'it has no root, give an image or root mounts',
    code: 'E_INVALIDARG',
  });
}

/** As the annotation, which is checked where it is read. */
function checkedScratchSize({ id, scratchSizeGb = defaultScratchGb }: ContainerOptions): number {
  if (Number.isInteger(scratchSizeGb) && scratchSizeGb >= 1 && scratchSizeGb <= 16_384) return scratchSizeGb;
  throw new HcsError({
    action: `Cannot create container "${id}"`,
    problem: `its writable layer was to have ${scratchSizeGb} GiB, it must be a whole number from 1 to 16384`,
    code: 'E_INVALIDARG',
  });
}

function checkContainerId(id: string): void {
  if (containerIdPattern.test(id)) return;
  throw new HcsError({
    action: `Cannot create container "${id.slice(0, 128)}"`,
    problem: 'an id is 1 to 128 letters, digits, "_", "." and "-", and begins with a letter or digit',
    code: 'E_INVALIDARG',
  });
}
