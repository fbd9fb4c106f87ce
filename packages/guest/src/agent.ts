import { createWriteStream, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BridgeServer, GuestPort } from '@hcsshim/bridge';
import { addEntropy, reboot, setHostname } from '@hcsshim/linux';
import { findCgroups } from './cgroup/cgroup-mounts.ts';
import { ContainerRegistry } from './containers/container-registry.ts';
import { guestHandlers } from './messages/guest-host.ts';
import { defaultPath, findExecutable } from './processes/executable.ts';
import { type GuestTransport, sandboxTransport, vsockTransport } from './processes/guest-transport.ts';
import { ProcessReaper } from './processes/process-reaper.ts';
import { VmProcesses } from './processes/vm-processes.ts';
import { RuntimeBinary } from './runtime/runtime-binary.ts';
import { AgentLog } from './startup/agent-log.ts';
import type { AgentOptions } from './startup/arguments.ts';
import { BootstrapChannel } from './startup/bootstrap-channel.ts';
import { followKernelLog } from './startup/kernel-log.ts';
import { enterSandbox } from './startup/sandbox-namespace.ts';
import { mountSystem, setUpCgroups } from './startup/system-mounts.ts';
import { warmUp } from './startup/warm-up.ts';
import { unmountAllBelow } from './storage/mount-table.ts';
import { sandboxScsiBus, sysfsScsiBus } from './storage/scsi-bus.ts';

/** OCI runtimes by preference: crun starts a container in half of runc's time. */
const runtimeNames = ['crun', 'runc'];
const runtimeDirectory = '/run/gcsrunc';
const agentDirectory = '/run/gcs';

/** As the kernel names a host that nobody has named yet. */
const unnamedHost = '(none)';
const defaultHostname = 'uvm';

const entropyBytes = 512;
const entropyTimeout = 2_000;

/** Between two dials of the host: while it is expected at any moment, and otherwise. In milliseconds. */
const dialIntervals = { eager: 5, patient: 100 };
/** How long the host is expected after the start and after a wake. In milliseconds. */
const eagerness = 10_000;

/** Runs the guest agent: prepares the VM or sandbox, then serves one host after the other until it is told to end. */
export async function runAgent(options: AgentOptions): Promise<void> {
  process.env.PATH ??= defaultPath;
  const log = new AgentLog({ level: options.logLevel, format: options.logFormat });
  if (options.logFile !== '') log.attach(createWriteStream(options.logFile, { mode: 0o600 }));
  try {
    prepareSystem(options, log);
    await new Agent(options, log).run();
  } catch (error) {
    log.write('fatal', 'The agent cannot go on', { error: describe(error) });
    log.flushToStderr();
    throw error;
  }
}

function prepareSystem(options: AgentOptions, log: AgentLog): void {
  if (options.sandbox !== undefined) {
    enterSandbox(options.sandbox);
  } else if (process.pid === 1) {
    mountSystem();
    if (hostname() === unnamedHost) setHostname(defaultHostname);
    if (findCgroups().version === 2) {
      setUpCgroups(options.cgroupParent, { memoryReserveBytes: options.rootMemoryReserveBytes });
    }
    followKernelLog(log, options.kmsgLogLevel);
  }
  if (options.coreDumpLocation !== '') {
    writeFileSync('/proc/sys/kernel/core_pattern', options.coreDumpLocation);
  }
}

class Agent {
  readonly #options: AgentOptions;
  readonly #log: AgentLog;
  readonly #transport: GuestTransport;
  readonly #reaper = new ProcessReaper();
  readonly #bridge: BridgeServer;
  #containers: ContainerRegistry | undefined;
  #eagerUntil = 0;
  #awake = new AbortController();
  #seeded = false;

  constructor(options: AgentOptions, log: AgentLog) {
    this.#options = options;
    this.#log = log;
    this.#transport = options.sandbox === undefined ? vsockTransport : sandboxTransport(options.sandbox);
    this.#bridge = new BridgeServer({
      log: ({ level, message, fields }) => log.write(level === 'debug' ? 'trace' : level, message, fields),
    });
  }

  async run(): Promise<void> {
    const { sandbox, cgroupParent, useStandardStreams } = this.#options;
    const services = {
      runtime: await RuntimeBinary.open({
        path: runtimePath(),
        directory: runtimeDirectory,
        reaper: this.#reaper,
      }),
      transport: this.#transport,
      reaper: this.#reaper,
    };
    const containers = new ContainerRegistry(services, { cgroupParent });
    this.#containers = containers;
    const handlers = guestHandlers({
      containers,
      processes: new VmProcesses(services),
      scsi: sandbox === undefined ? sysfsScsiBus() : sandboxScsiBus(sandbox),
      bridge: this.#bridge,
      powerOff: () => this.#powerOff(),
      onLostNotification: ({ ContainerId }, error) =>
        this.#log.write('warning', 'No host to tell of the end of a container', {
          cid: ContainerId,
          error: describe(error),
        }),
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void this.#powerOff());
    this.#log.write('info', 'GCS started', { pid: process.pid, node: process.version });

    if (useStandardStreams) {
      this.#log.attach(process.stderr);
      await this.#bridge.serve(standardStreams(), handlers);
      return;
    }
    const bootstrap =
      sandbox === undefined
        ? BootstrapChannel.open(this.#log, {
            onWake: () => this.#wake(),
            onShutdown: () => void this.#powerOff(),
          })
        : undefined;
    if (sandbox !== undefined) this.#expectHost();

    let connection = await this.#tryDial();
    if (!connection && bootstrap) {
      // A VM without a vsock device is about to be saved as a template.
      await warmUp(services, { directory: agentDirectory, cgroupParent }).catch((error: unknown) =>
        this.#log.write('warning', 'Warming up has failed', { error: describe(error) }),
      );
    }
    bootstrap?.ready();
    for (;;) {
      connection ??= await this.#dialUntilConnected();
      await Promise.all([this.#seedOnce(), this.#connectLog()]);
      this.#log.write('info', 'Connected to the host');
      try {
        await this.#bridge.serve(connection.toStream(), handlers);
        this.#log.write('info', 'The host has closed the connection');
      } catch (error) {
        this.#log.write('error', 'The connection to the host has failed', { error: describe(error) });
      }
      connection = undefined;
    }
  }

  async #tryDial() {
    try {
      return await this.#transport.dial(GuestPort.bridge);
    } catch (error) {
      this.#log.write('trace', 'No host yet', { error: describe(error) });
      return undefined;
    }
  }

  async #dialUntilConnected() {
    for (;;) {
      const connection = await this.#tryDial();
      if (connection) return connection;
      const interval = Date.now() < this.#eagerUntil ? dialIntervals.eager : dialIntervals.patient;
      await sleep(interval, undefined, { signal: this.#awake.signal }).catch(() => {});
    }
  }

  #wake(): void {
    // The clone of a saved VM starts with the template's random pool: the host's seed is due again.
    this.#seeded = false;
    this.#expectHost();
    const interrupted = this.#awake;
    this.#awake = new AbortController();
    interrupted.abort();
  }

  #expectHost(): void {
    this.#eagerUntil = Date.now() + eagerness;
  }

  /** A fresh VM has no entropy of its own. A sandbox uses the host's pool. */
  async #seedOnce(): Promise<void> {
    if (this.#seeded || this.#options.sandbox !== undefined) return;
    this.#seeded = true;
    try {
      const signal = AbortSignal.timeout(entropyTimeout);
      const connection = await this.#transport.dial(this.#options.entropyPort, { signal });
      const stream = connection.toStream();
      signal.addEventListener('abort', () => stream.destroy(), { once: true });
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        length += chunk.length;
        if (length >= entropyBytes) break;
      }
      addEntropy(Buffer.concat(chunks).subarray(0, entropyBytes));
    } catch (error) {
      this.#log.write('debug', 'The host gives no entropy', { error: describe(error) });
    }
  }

  async #connectLog(): Promise<void> {
    if (this.#options.logFile !== '') return;
    try {
      this.#log.attach((await this.#transport.dial(this.#options.logPort)).toStream());
    } catch {
      this.#log.attach(process.stderr);
    }
  }

  /** Ends all containers and then the VM, or the sandbox with everything in it. */
  async #powerOff(): Promise<never> {
    this.#log.write('info', 'Powering off');
    await this.#containers?.deleteAll();
    try {
      unmountAllBelow(agentDirectory);
    } catch (error) {
      this.#log.write('warning', 'Cannot unmount everything', { error: describe(error) });
    }
    if (this.#options.sandbox === undefined && process.pid === 1) reboot('power-off');
    process.exit(0);
  }
}

function runtimePath(): string {
  for (const name of runtimeNames) {
    const path = findExecutable(name, { path: process.env.PATH ?? defaultPath });
    if (path !== undefined) return path;
  }
  throw new Error(`Cannot run containers: there is no ${runtimeNames.join(' and no ')}, install one of them`);
}

/** Node's types do not know that a pair will do. */
function standardStreams(): Duplex {
  const pair: unknown = { readable: process.stdin, writable: process.stdout };
  return Duplex.from(pair as AsyncIterable<unknown>);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
