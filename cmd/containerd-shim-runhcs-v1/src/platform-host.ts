import { resolve } from 'node:path';
import type {
  ContainerOptions,
  EngineName,
  GuestProcess,
  OwnedContainer,
  Platform,
  PlatformOptions,
} from 'hcsshim';
import type { Log } from './log.ts';
import type {
  CallOptions,
  ContainerRequest,
  HostedContainer,
  HostedProcess,
  StdioRequest,
  TaskHost,
} from './task-host.ts';

const engineAnnotation = 'io.hcsshim.engine';
const containerTypeAnnotation = 'io.kubernetes.cri.container-type';

/** A guest must not fill the log of its host. In bytes. */
const longestGuestLine = 4096;

/**
 * Containers by the SDK, each in a VM of its own. The SDK is loaded with the first container: a shim that has
 * none stays small, and answers sooner.
 */
export class PlatformHost implements TaskHost {
  readonly #platforms = new Map<EngineName, Platform>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Lets the system of a container begin to boot before the container is asked for. Resolves when it boots, or
   * has failed to, which `create` then tells. Only sandboxes: a VM may depend on options that come later.
   */
  async expect(id: string, annotations: Record<string, string>): Promise<void> {
    const engine = annotations[engineAnnotation] ?? process.env.HCSSHIM_ENGINE;
    if (engine !== 'sandbox' || annotations[containerTypeAnnotation] === 'container') return;
    // Whatever stands in the way, `create` meets it again, and has somebody to tell.
    const platform = await this.#platform(engine).catch(() => undefined);
    await platform?.expectContainer({ id, annotations });
  }

  async create(request: ContainerRequest, options: CallOptions): Promise<HostedContainer> {
    const { HcsError } = await import('hcsshim');
    const { annotations = {} } = request.spec;
    if (annotations[containerTypeAnnotation] === 'container') {
      throw new HcsError({
        action: `Cannot create container "${request.id}"`,
        problem: 'further containers in the VM of a pod sandbox are not supported yet',
        code: 'ERROR_NOT_SUPPORTED',
      });
    }
    const platform = await this.#platform(annotations[engineAnnotation]);
    await this.#forget(request.id, platform);
    const container = await platform.createContainer({
      id: request.id,
      spec: request.spec,
      ...containerRoot(request),
      ...options,
    });
    return new PlatformContainer(container);
  }

  async forget(id: string): Promise<void> {
    await this.#forget(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#platforms.values()].map((platform) => platform[Symbol.asyncDispose]()));
  }

  /** On all platforms but the one that the container will be made on. */
  async #forget(id: string, chosen?: Platform): Promise<void> {
    const others = [...this.#platforms.values()].filter((platform) => platform !== chosen);
    await Promise.all(others.map((platform) => platform.forgetContainer(id)));
  }

  async #platform(annotation: string | undefined): Promise<Platform> {
    const { defaultEngine, openPlatform, parseEngineName } = await import('hcsshim');
    const engine = annotation === undefined ? defaultEngine() : parseEngineName(annotation);
    const open = this.#platforms.get(engine);
    if (open) return open;
    const platform = await openPlatform({ engine, ...logReceivers(this.#log) });
    this.#platforms.set(engine, platform);
    return platform;
  }
}

/** What the platform and its guests say, as lines of the shim's log. */
export function logReceivers(log: Log): Required<Pick<PlatformOptions, 'log' | 'guestLog'>> {
  return {
    log: (sentence) => log.info(sentence),
    guestLog: (vm, line) => log.debug('guest', { vm, line: cut(line, longestGuestLine) }),
  };
}

/** The beginning of a text, at most so many bytes of UTF-8. */
function cut(text: string, bytes: number): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(bytes)).read);
}

/** Where the root comes from, in the words of the SDK. The spec's path is relative to the bundle, or absolute. */
export function containerRoot({
  bundle,
  rootfs,
  spec,
}: ContainerRequest): Pick<ContainerOptions, 'rootMounts' | 'image'> {
  if (rootfs.length > 0) return { rootMounts: rootfs };
  return { image: resolve(bundle, spec.root?.path ?? 'rootfs') };
}

class PlatformContainer implements HostedContainer {
  /** The VM lives and dies with this process, which upstream also reports. */
  readonly pid = process.pid;
  readonly lost: Promise<string>;
  readonly #container: OwnedContainer;
  readonly #watching = new AbortController();
  #deleted: Promise<void> | undefined;

  constructor(container: OwnedContainer) {
    this.#container = container;
    this.lost = this.#watch();
  }

  async start(stdio: StdioRequest): Promise<HostedProcess> {
    const init = await this.#container.start(stdio);
    return hostedProcess(init, async () => (await this.#container.wait()).exitCode);
  }

  async exec(process: Parameters<HostedContainer['exec']>[0], stdio: StdioRequest): Promise<HostedProcess> {
    return hostedProcess(await this.#container.exec(process, stdio));
  }

  async pause(options: CallOptions): Promise<void> {
    await this.#container.pause(options);
  }

  async resume(options: CallOptions): Promise<void> {
    await this.#container.resume(options);
  }

  async processIds(): Promise<number[]> {
    return this.#container.processes();
  }

  async statistics(): Promise<unknown> {
    return this.#container.statistics();
  }

  async delete(): Promise<void> {
    this.#watching.abort();
    this.#deleted ??= this.#container[Symbol.asyncDispose]();
    await this.#deleted;
  }

  /** Resolves when the VM ends by itself; never when it is deleted. */
  async #watch(): Promise<string> {
    try {
      return (await this.#container.vm.wait({ signal: this.#watching.signal })).reason;
    } catch (error) {
      if (this.#watching.signal.aborted) return new Promise(() => {});
      return (error as Error).message;
    }
  }
}

function hostedProcess(process: GuestProcess, wait = () => process.wait()): HostedProcess {
  return {
    pid: process.pid,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    wait,
    kill: (signal, options) => process.kill(signal, options),
    resize: (size, options) => process.resize(size, options),
  };
}
