import type { LinuxContainer } from '@hcsshim/containers';
import type { CallOptions, SystemExit } from '@hcsshim/hcs';
import type { OciProcess } from '@hcsshim/schema';
import type { ImageConfig } from '@hcsshim/storage';
import type { GuestProcess, StdioRequest, UtilityVm } from '@hcsshim/uvm';
import { defaultProcess, type ProcessOptions } from './default-spec.ts';

/** How a container's first process ended. */
export interface ContainerExit {
  /** 0 to 255; 128 + signal number when a signal ended it; 137 when the VM went away under it. */
  exitCode: number;
  exitedAt: Date;
  /** Why the VM ended, when that is what ended the process. */
  vmExit?: SystemExit;
}

const exitCodeOfKilledVm = 128 + 9;

/**
 * A container that has a VM to itself. Disposing it ends the VM, and with it everything in it, at once; `stop`
 * lets the container's processes end by themselves first.
 */
export class OwnedContainer implements AsyncDisposable {
  readonly id: string;
  readonly vm: UtilityVm;
  readonly #container: LinuxContainer;
  readonly #image: ImageConfig;
  readonly #owned: AsyncDisposableStack;
  #exit: Promise<ContainerExit> | undefined;

  /** Made by `Platform.createContainer`. */
  constructor(container: LinuxContainer, image: ImageConfig, owned: AsyncDisposableStack) {
    this.id = container.id;
    this.vm = container.vm;
    this.#container = container;
    this.#image = image;
    this.#owned = owned;
  }

  /** Starts the container's process. Throws in words when it cannot run, for example for a missing command. */
  async start(stdio: StdioRequest = {}, options: CallOptions = {}): Promise<GuestProcess> {
    const init = await this.#container.start(stdio, options);
    this.#exit = this.#watch(init);
    return init;
  }

  /** Starts one more process: as an OCI process, or in short with the image's user, environment and folder. */
  async exec(
    process: OciProcess | ProcessOptions,
    stdio: StdioRequest = {},
    options: CallOptions = {},
  ): Promise<GuestProcess> {
    const oci =
      'user' in process && typeof process.user === 'object'
        ? (process as OciProcess)
        : this.#process(process as ProcessOptions);
    return this.#container.exec(oci, stdio, options);
  }

  /** Resolves when the container's process has ended, or its VM. Rejects before `start`. */
  async wait(): Promise<ContainerExit> {
    if (!this.#exit) throw new Error(`Cannot wait for container "${this.id}": it has not been started`);
    return this.#exit;
  }

  /** Freezes the container and the VM around it. */
  async pause(options: CallOptions = {}): Promise<void> {
    await this.vm.system.pause(options);
  }

  async resume(options: CallOptions = {}): Promise<void> {
    await this.vm.system.resume(options);
  }

  /** Process ids in the container, as the guest counts them. */
  async processes(): Promise<number[]> {
    return this.#container.processes();
  }

  /** Cgroup metrics in the shape of containerd's cgroups v1 `Metrics`. */
  async statistics(): Promise<unknown> {
    return this.#container.statistics();
  }

  /** Asks the container's process to end, waits for `patience` milliseconds (30 s by default), then kills it. */
  async stop(options: CallOptions & { patience?: number } = {}): Promise<void> {
    await this.#container.stop(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  /** An exec inherits the image's environment, but not its entrypoint and command. */
  #process(options: ProcessOptions): OciProcess {
    const { Entrypoint: _entrypoint, Cmd: _command, ...rest } = this.#image;
    return defaultProcess(rest, options);
  }

  async #watch(init: GuestProcess): Promise<ContainerExit> {
    const ended = new AbortController();
    const vmEnded = this.vm
      .wait({ signal: ended.signal })
      .then((vmExit) => ({ exitCode: exitCodeOfKilledVm, exitedAt: new Date(), vmExit }));
    vmEnded.catch(() => {});
    try {
      const exited = init.wait().then(
        (exitCode) => ({ exitCode, exitedAt: new Date() }),
        // The connection to the guest is gone; the VM's own exit follows and says why.
        () => vmEnded,
      );
      return await Promise.race([exited, vmEnded]);
    } finally {
      ended.abort();
    }
  }
}
