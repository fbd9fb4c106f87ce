import type { Duplex } from 'node:stream';
import {
  type ContainerConfig,
  type GuestCapabilities,
  type GuestMessageName,
  type GuestMessages,
  type GuestModification,
  type GuestNotification,
  type GuestProcessParameters,
  type GuestProperties,
  type GuestPropertyType,
  type GuestRequestBase,
  guestProtocolVersion,
  HcsError,
  infiniteTimeout,
  isHcsError,
  noActivity,
  parseGuestProperties,
  type TraceContext,
  utilityVmId,
  type VsockStdioRelaySettings,
} from '@hcsshim/schema';
import { BridgeClient } from './bridge-client.ts';
import type { BridgeLog } from './bridge-log.ts';
import { ContainerExits } from './container-exits.ts';
import { hostFrameLimit } from './frame.ts';
import { GuestPort } from './hv-socket.ts';

export interface GuestConnectionOptions {
  /** Gives connecting up; the stream is closed then. Of no effect afterwards. */
  signal?: AbortSignal | undefined;
  log?: BridgeLog;
  /**
   * How long a request may stay without an answer, in milliseconds. The guest is held for dead after that and
   * the connection ends. Waiting for a process has no such limit.
   * @default 300000
   */
  answerTimeout?: number;
  /** Largest frame taken from the guest, in bytes. @default 65536 */
  frameLimit?: number;
  /** The guest has been connected to before, so it is neither created nor started again. @default false */
  warm?: boolean;
}

export interface GuestCallOptions {
  /**
   * Before the request is sent, gives it up. Afterwards it does so only for requests whose answer can be
   * ignored without harm: the others may have changed the guest, and their outcome must be known.
   */
  signal?: AbortSignal | undefined;
  /** GUID by which the guest's log names the request. */
  activityId?: string;
  /** The caller's span. */
  trace?: TraceContext;
}

export type ShutdownKind = 'graceful' | 'forced';

/** Upstream's timeout for a container's shutdown to be taken on, in milliseconds. */
const shutdownTimeout = 30_000;

/**
 * The host's end of the bridge to the agent in a utility VM. A request that the guest refuses rejects with an
 * {@link HcsError} of the guest's code and a {@link GuestFailure} as its cause; once the connection is lost, all
 * that is pending and all that follows rejects with HCS_E_CONNECTION_CLOSED.
 */
export class GuestConnection implements AsyncDisposable {
  readonly capabilities: GuestCapabilities;
  /** Resolves when the connection has ended: with the error that ended it, or undefined for a clean end. */
  readonly closed: Promise<Error | undefined>;
  readonly #client: BridgeClient;
  readonly #exits: ContainerExits;
  #nextPort: number = GuestPort.firstStdio;

  private constructor(client: BridgeClient, exits: ContainerExits, capabilities: GuestCapabilities) {
    this.#client = client;
    this.#exits = exits;
    this.capabilities = capabilities;
    this.closed = client.closed;
  }

  /**
   * Agrees on protocol version 4 with the agent at the other end of `stream`, and creates and starts the
   * utility VM's own system where the agent asks for that. Owns the stream from here on.
   * Throws HCS_E_UNSUPPORTED_PROTOCOL_VERSION, HCS_E_CONNECTION_CLOSED, HCS_E_PROTOCOL_ERROR.
   */
  static async connect(stream: Duplex, options: GuestConnectionOptions = {}): Promise<GuestConnection> {
    const { signal, warm = false, log = () => {} } = options;
    const exits = new ContainerExits();
    const client = new BridgeClient(stream, {
      log,
      answerTimeout: options.answerTimeout ?? 300_000,
      frameLimit: options.frameLimit ?? hostFrameLimit,
      notify: (notification) => exits.settle(notification),
    });
    void client.closed.then((error) => exits.abandon(error));
    await using undo = new AsyncDisposableStack();
    undo.use(client);
    const capabilities = await negotiate(client, signal);
    if (!warm && capabilities.SendHostCreateMessage) {
      await client.request('Create', { ...vm, ContainerConfig: '{"SystemType":"Container"}' }, { signal });
      if (capabilities.SendHostStartMessage) await client.request('Start', vm, { signal });
    }
    undo.move();
    return new GuestConnection(client, exits, capabilities);
  }

  /** `linux` or `windows`. */
  get guestOs(): string {
    return (this.capabilities.RuntimeOsType || 'windows').toLowerCase();
  }

  /** A vsock port for a process's stdio that this connection has not given out before. */
  allocatePort(): number {
    return this.#nextPort++;
  }

  /** Sends any request and reads its response. The typed methods below are this with names. */
  async request<N extends GuestMessageName>(
    name: N,
    request: GuestMessages[N]['request'],
    options: GuestCallOptions = {},
  ): Promise<GuestMessages[N]['response']> {
    return this.#client.request(name, request, { ...options, cancelable: cancelable.has(name) });
  }

  /** Creates a container in the guest. Its exit can be waited for from here on. */
  async createContainer(id: string, config: ContainerConfig, options?: GuestCallOptions): Promise<void> {
    this.#exits.expect(id);
    try {
      await this.request(
        'Create',
        { ...base(id, options), ContainerConfig: JSON.stringify(config) },
        options,
      );
    } catch (error) {
      this.#exits.forget(id);
      throw error;
    }
  }

  /** Lets the exit of a container be waited for that an earlier connection to this guest created. */
  adoptContainer(id: string): void {
    this.#exits.expect(id);
  }

  /** Starts a container. A Linux guest does nothing here: its container starts with the first process. */
  async startContainer(id: string, options?: GuestCallOptions): Promise<void> {
    await this.request('Start', base(id, options), options);
  }

  /**
   * How a container ended, for any number of waiters, also long after; until its state is deleted.
   * Throws HCS_E_SYSTEM_NOT_FOUND for a container that this connection does not know.
   */
  async waitForNotification(id: string, options: { signal?: AbortSignal } = {}): Promise<GuestNotification> {
    return this.#exits.wait(id, options.signal);
  }

  /** Starts a process; its stdio is what the guest connects to the ports. Resolves with the guest's process id. */
  async executeProcess(
    containerId: string,
    parameters: GuestProcessParameters,
    stdio: VsockStdioRelaySettings,
    options?: GuestCallOptions,
  ): Promise<number> {
    const Settings = {
      ProcessParameters: JSON.stringify(parameters),
      VsockStdioRelaySettings: stdio,
    };
    const response = await this.request(
      'ExecuteProcess',
      { ...base(containerId, options), Settings },
      options,
    );
    return response.ProcessId;
  }

  /**
   * The exit code of a process. `timeout` is in milliseconds, endless by default; when it has passed, the
   * guest answers HCS_E_CONNECTION_TIMEOUT.
   */
  async waitForProcess(
    containerId: string,
    processId: number,
    options: GuestCallOptions & { timeout?: number } = {},
  ): Promise<number> {
    const { timeout = infiniteTimeout } = options;
    const response = await this.request(
      'WaitForProcess',
      { ...base(containerId, options), ProcessId: processId, TimeoutInMs: timeout },
      options,
    );
    return response.ExitCode;
  }

  /**
   * Sends a signal by number, SIGKILL when there is none.
   * Throws ERROR_NOT_FOUND when the process has ended.
   */
  async signalProcess(
    containerId: string,
    processId: number,
    signal?: number,
    options?: GuestCallOptions,
  ): Promise<void> {
    const request = { ...base(containerId, options), ProcessId: processId };
    await this.request(
      'SignalProcess',
      signal ? { ...request, Options: { Signal: signal } } : request,
      options,
    );
  }

  /** Sets the size of a process's terminal, in characters. */
  async resizeConsole(
    containerId: string,
    processId: number,
    { width, height }: { width: number; height: number },
    options?: GuestCallOptions,
  ): Promise<void> {
    await this.request(
      'ResizeConsole',
      { ...base(containerId, options), ProcessId: processId, Height: height, Width: width },
      options,
    );
  }

  async getProperties(
    containerId: string,
    types: GuestPropertyType[],
    options?: GuestCallOptions,
  ): Promise<GuestProperties> {
    const response = await this.request(
      'GetProperties',
      { ...base(containerId, options), Query: JSON.stringify({ PropertyTypes: types }) },
      options,
    );
    return parseGuestProperties(response.Properties);
  }

  /** Changes a resource of the VM, or of `containerId`, where only ContainerConstraints is defined. */
  async modifySettings(
    modification: GuestModification,
    { containerId = utilityVmId, ...options }: GuestCallOptions & { containerId?: string } = {},
  ): Promise<void> {
    await this.request('ModifySettings', { ...base(containerId, options), Request: modification }, options);
  }

  /**
   * Asks a container to end; its exit may come later. One that the guest no longer knows is no error.
   * Rejects when the guest has not taken it on within 30 s.
   */
  async shutdownContainer(id: string, kind: ShutdownKind, options: GuestCallOptions = {}): Promise<void> {
    const deadline = AbortSignal.timeout(shutdownTimeout);
    const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
    const name = kind === 'graceful' ? 'ShutdownGraceful' : 'ShutdownForced';
    try {
      await this.request(name, base(id, options), { ...options, signal });
    } catch (error) {
      if (isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND')) return;
      if (error !== deadline.reason) throw error;
      throw new HcsError({
        action: `Cannot shut down container "${id}"`,
        problem: `the guest did not take it on within ${shutdownTimeout / 1000} s`,
        code: 'HCS_E_OPERATION_TIMEOUT',
      });
    }
  }

  /** Makes the guest power its VM off. It gives no answer; resolves when the connection has ended. */
  async shutdownGuest(options?: GuestCallOptions): Promise<void> {
    try {
      await this.request('ShutdownGraceful', base(utilityVmId, options), options);
    } catch (error) {
      if (!isHcsError(error, 'HCS_E_CONNECTION_CLOSED')) throw error;
    }
  }

  /** Deletes what the guest keeps of a container that has ended. Its exit can no longer be waited for. */
  async deleteContainerState(id: string, options?: GuestCallOptions): Promise<void> {
    try {
      await this.request('DeleteContainerState', base(id, options), options);
    } finally {
      // The guest forgets the container even when it could not delete all of it.
      this.#exits.forget(id);
    }
  }

  /** The agent's own stacks, as text. */
  async dumpStacks(options?: GuestCallOptions): Promise<string> {
    const response = await this.request('DumpStacks', base(utilityVmId, options), options);
    return response.GuestStacks;
  }

  /** Closes the connection. The guest goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Requests whose answer may be ignored: asking again does no harm (upstream `internal/gcs`). */
const cancelable: ReadonlySet<GuestMessageName> = new Set([
  'NegotiateProtocol',
  'GetProperties',
  'ShutdownGraceful',
  'ShutdownForced',
  'ResizeConsole',
  'WaitForProcess',
]);

const vm: GuestRequestBase = { ContainerId: utilityVmId, ActivityId: noActivity };

function base(id: string, options: GuestCallOptions = {}): GuestRequestBase {
  return {
    ContainerId: id,
    ActivityId: options.activityId ?? noActivity,
    ...(options.trace ? { ocsc: options.trace } : {}),
  };
}

async function negotiate(client: BridgeClient, signal: AbortSignal | undefined): Promise<GuestCapabilities> {
  const version = { MinimumVersion: guestProtocolVersion, MaximumVersion: guestProtocolVersion };
  const answer = await client.request('NegotiateProtocol', { ...vm, ...version }, { signal });
  if (answer.Version === guestProtocolVersion) return answer.Capabilities;
  throw new HcsError({
    action: 'Cannot connect to the guest',
    problem: `it chose protocol version ${answer.Version}, asked for was ${guestProtocolVersion}`,
    code: 'HCS_E_UNSUPPORTED_PROTOCOL_VERSION',
  });
}
