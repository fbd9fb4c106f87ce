import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuestConnection, GuestPort, type HvListener, type HvSocket } from '@hcsshim/bridge';
import {
  type CallOptions,
  type ComputeService,
  type ComputeSystem,
  HcsError,
  isHcsError,
  phase,
  type SystemExit,
  withDeadline,
} from '@hcsshim/hcs';
import { utilityVmId } from '@hcsshim/schema';
import { readLines } from './guest-log.ts';
import { GuestProcess, type GuestProcessParameters, type StdioRequest } from './guest-process.ts';
import { type LinuxVmOptions, linuxVmDocument, rootDiskSlot } from './linux-vm-document.ts';
import { ScsiDisks } from './scsi-disks.ts';

/** The platform's services that a VM needs. */
export interface VmPlatform {
  compute: ComputeService;
  sockets: HvSocket;
  /** Receives the guest's log, one line at a time. @default dropped */
  guestLog?: (vmId: string, line: string) => void;
}

/** Upstream's budget from start to a negotiated guest connection (`internal/uvm/start.go`). */
const startTimeout = 120_000;
/** How long the end of a system may follow the loss of its connections. In milliseconds. */
const exitPatience = 5_000;
const entropyBytes = 512;
/** How long a guest may take to read it. In milliseconds. */
const entropyTimeout = 5_000;
const connectionsPerPort = 4;

/** A Linux utility VM: a compute system with a guest agent that answers. Disposing it ends the VM. */
export class UtilityVm implements AsyncDisposable {
  readonly id: string;
  readonly runtimeId: string;
  readonly system: ComputeSystem;
  readonly guest: GuestConnection;
  readonly disks: ScsiDisks;
  readonly #platform: VmPlatform;
  readonly #owned: AsyncDisposableStack;
  #agentLost: string | undefined;

  private constructor(
    platform: VmPlatform,
    system: ComputeSystem,
    guest: GuestConnection,
    options: LinuxVmOptions,
    owned: AsyncDisposableStack,
  ) {
    this.id = system.id;
    this.runtimeId = system.runtimeId;
    this.system = system;
    this.guest = guest;
    this.disks = new ScsiDisks(
      system,
      guest,
      options.scsiControllers ?? 4,
      options.bootFiles ? [rootDiskSlot] : [],
    );
    this.#platform = platform;
    this.#owned = owned;
    void this.#endWithAgent();
  }

  /** Creates a VM, boots it and connects to its agent. A failure leaves nothing behind. */
  static async start(
    platform: VmPlatform,
    options: LinuxVmOptions,
    {
      signal,
      onBoot,
    }: CallOptions & {
      /** Called once its start is under way, long before its agent answers. */ onBoot?: () => void;
    } = {},
  ): Promise<UtilityVm> {
    await using undo = new AsyncDisposableStack();
    const system = undo.use(
      await phase('vm: create', options.id, () =>
        platform.compute.create(options.id, linuxVmDocument(options), signal ? { signal } : {}),
      ),
    );
    undo.defer(() => system.terminate());
    const listen = async (port: number): Promise<HvListener> =>
      undo.use(await platform.sockets.listen(system.runtimeId, port));
    const bridge = await listen(GuestPort.bridge);
    serveEntropy(await listen(GuestPort.entropy));
    forwardLog(await listen(GuestPort.log), (line) => platform.guestLog?.(options.id, line));

    const guest = await withDeadline(
      { signal, timeout: startTimeout, action: `Cannot start VM "${options.id}"` },
      (deadline) =>
        untilExit(system, options.id, async () => {
          if (onBoot) setImmediate(onBoot);
          await phase('vm: start', options.id, () => system.start({ signal: deadline }));
          return phase('vm: agent answers', options.id, () => connectToAgent(bridge, deadline));
        }),
    );
    undo.use(guest);
    // The agent connects once: a second connection would be somebody else's.
    await bridge[Symbol.asyncDispose]();
    return new UtilityVm(platform, system, guest, options, undo.move());
  }

  /** Runs a process in the VM itself, beside the containers. For diagnostics. */
  async createProcess(
    parameters: GuestProcessParameters,
    stdio: StdioRequest,
    options: CallOptions = {},
  ): Promise<GuestProcess> {
    return this.createContainerProcess(
      utilityVmId,
      { ...parameters, CreateInUtilityVM: true },
      stdio,
      options,
    );
  }

  /** Runs a process in a container that the guest knows. */
  async createContainerProcess(
    containerId: string,
    parameters: GuestProcessParameters,
    stdio: StdioRequest,
    options: CallOptions = {},
  ): Promise<GuestProcess> {
    const place = {
      runtimeId: this.runtimeId,
      sockets: this.#platform.sockets,
      guest: this.guest,
      containerId,
    };
    return GuestProcess.start(place, parameters, stdio, options);
  }

  /** Resolves when the VM has ended, however it did. */
  async wait(options: CallOptions = {}): Promise<SystemExit> {
    const exit = await this.system.wait(options);
    return this.#agentLost ? { type: 'UnexpectedExit', reason: this.#agentLost } : exit;
  }

  /** A VM whose agent has hung up is of no use, and who waits for its processes would wait for ever. */
  async #endWithAgent(): Promise<void> {
    const error = await this.guest.closed;
    const patience = AbortSignal.timeout(exitPatience);
    const ended = await this.system.wait({ signal: patience }).then(
      () => true,
      () => !patience.aborted,
    );
    if (ended) return;
    this.#agentLost = `its agent closed the connection${error ? `: ${error.message}` : ''}`;
    await this.system.terminate().catch(() => {});
  }

  /** Terminates the VM and releases all that belongs to it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await phase('vm: terminate', this.id, () => this.#owned.disposeAsync());
  }
}

/**
 * The first connection on which the agent answers. An agent that has just been woken in a clone may give up the
 * one that it began before, and dial again.
 */
async function connectToAgent(bridge: HvListener, signal: AbortSignal): Promise<GuestConnection> {
  for (;;) {
    const stream = await bridge.accept({ signal });
    try {
      return await GuestConnection.connect(stream, { signal });
    } catch (error) {
      if (!isHcsError(error, 'HCS_E_CONNECTION_CLOSED')) throw error;
    }
  }
}

/** Runs `work`, but gives up with the reason when the system ends before it is done. */
async function untilExit<T>(system: ComputeSystem, id: string, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const ended = system.wait({ signal: done.signal }).then((exit) => {
    throw new HcsError({
      action: `Cannot start VM "${id}"`,
      problem: `it ended before its agent answered: ${exit.reason}`,
      code: 'HCS_E_TERMINATED_DURING_START',
    });
  });
  ended.catch(() => {});
  try {
    return await Promise.race([work(), ended]);
  } catch (error) {
    // A system that ends closes its connections first, and knows better why.
    if (isHcsError(error, 'HCS_E_CONNECTION_CLOSED'))
      await Promise.race([ended, sleep(exitPatience, undefined, { signal: done.signal })]);
    throw error;
  } finally {
    done.abort();
  }
}

/** A fresh guest has no entropy of its own: it reads some from the host before it makes keys. */
function serveEntropy(listener: HvListener): void {
  void forEachConnection(listener, (stream) => {
    stream.resume();
    stream.end(randomBytes(entropyBytes));
    setTimeout(() => stream.destroy(), entropyTimeout).unref();
  });
}

function forwardLog(listener: HvListener, write: (line: string) => void): void {
  void forEachConnection(listener, (stream) => {
    readLines(stream, write);
    // The guest hears nothing on it, so its end is the end: the other half would stay open.
    stream.once('end', () => stream.destroy());
  });
}

/** Takes as many connections at a time as an honest guest makes: each costs memory of the host. */
async function forEachConnection(listener: HvListener, handle: (stream: Duplex) => void): Promise<void> {
  let open = 0;
  for (;;) {
    let stream: Duplex;
    try {
      stream = await listener.accept();
    } catch {
      // The listener closed: the VM is going away.
      return;
    }
    stream.on('error', () => stream.destroy());
    if (open >= connectionsPerPort) {
      stream.destroy();
      continue;
    }
    open++;
    stream.once('close', () => open--);
    handle(stream);
  }
}
