import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type CallOptions,
  type ComputeProcess,
  type ComputeSystem,
  closedHandleError,
  HcsError,
  operationTimeout,
  PendingOperations,
  type SystemExit,
  untilAborted,
  withDeadline,
} from '@hcsshim/hcs';
import type { ModifySettingRequest, PropertyQuery, SystemProperties } from '@hcsshim/schema';
import type { ContainerProperties, PropertyQuery as PropertyQueryV1 } from '@hcsshim/schema/hcs-v1';
import { type ControlMethod, type ControlResponse, decodeError } from './control-protocol.ts';
import { LineChannel } from './line-channel.ts';
import { asksForStatistics, propertiesV1 } from './properties-v1.ts';
import type { StateDirectory, SystemRecord } from './state-directory.ts';
import { unsupported } from './unsupported.ts';

/** The owner ends its work by the same limits; it needs a little longer to say so. */
const answerGrace = 5_000;

/** A handle to a compute system that another process owns, through its control socket. */
export class RemoteSystem implements ComputeSystem {
  readonly id: string;
  readonly runtimeId: string;
  readonly #ownerPid: number;
  readonly #connection: ControlConnection;
  readonly #exit: Promise<SystemExit>;
  readonly #pending = new PendingOperations();
  #closed = false;

  private constructor(record: SystemRecord, connection: ControlConnection) {
    this.id = record.id;
    this.runtimeId = record.runtimeId;
    this.#ownerPid = record.owner.pid;
    this.#connection = connection;
    // Asked for at once: whoever waits after the owner is gone still hears how the system ended.
    this.#exit = (connection.call('wait', undefined, { background: true }) as Promise<SystemExit>).catch(
      (): SystemExit => ({
        type: 'UnexpectedExit',
        reason: `the process that owned it, ${this.#ownerPid}, ended`,
      }),
    );
  }

  static async open(
    state: StateDirectory,
    record: SystemRecord,
    { signal }: CallOptions = {},
  ): Promise<RemoteSystem> {
    const action = `Cannot open compute system "${record.id}"`;
    return withDeadline({ signal, timeout: operationTimeout(), action }, async (deadline) => {
      const connection = await ControlConnection.open(state, record, deadline);
      try {
        await connection.call('open', undefined, { signal: deadline });
        return new RemoteSystem(record, connection);
      } catch (error) {
        connection.close();
        throw error;
      }
    });
  }

  async start(options: CallOptions = {}): Promise<void> {
    await this.#call('start', undefined, options, operationTimeout('SYSTEMSTART'));
  }

  async shutdown(options: CallOptions = {}): Promise<void> {
    await this.#call('shutdown', undefined, options);
  }

  async terminate(options: CallOptions = {}): Promise<void> {
    try {
      await this.#call('terminate', undefined, options);
    } catch (error) {
      if ((error as HcsError).code !== 'HCS_E_SYSTEM_ALREADY_STOPPED') throw error;
    }
  }

  async pause(options: CallOptions = {}): Promise<void> {
    await this.#call('pause', undefined, options, operationTimeout('SYSTEMPAUSE'));
  }

  async resume(options: CallOptions = {}): Promise<void> {
    await this.#call('resume', undefined, options, operationTimeout('SYSTEMRESUME'));
  }

  async crash(_document?: unknown, options: CallOptions = {}): Promise<void> {
    await this.#call('crash', undefined, options);
  }

  async save(): Promise<void> {
    this.#requireOpen('save');
    throw unsupported('save', this.id);
  }

  async createProcess(): Promise<ComputeProcess> {
    this.#requireOpen('create a process in');
    throw unsupported('create a process in', this.id);
  }

  async openProcess(): Promise<ComputeProcess> {
    this.#requireOpen('open a process of');
    throw unsupported('open a process of', this.id);
  }

  pendingOperations(): string[] {
    return this.#pending.list(this.id);
  }

  async getPropertiesV1(query?: PropertyQueryV1, options: CallOptions = {}): Promise<ContainerProperties> {
    const statistics = asksForStatistics(query) ? (['Statistics'] as const) : [];
    return propertiesV1(await this.getProperties({ PropertyTypes: [...statistics] }, options));
  }

  async getProperties(query?: PropertyQuery, options: CallOptions = {}): Promise<SystemProperties> {
    return (await this.#call('properties', query, options)) as SystemProperties;
  }

  async modify(request: ModifySettingRequest, options: CallOptions = {}): Promise<void> {
    await this.#call('modify', request, options);
  }

  async wait({ signal }: CallOptions = {}): Promise<SystemExit> {
    this.#requireOpen('wait for');
    const release = this.#connection.keepAlive();
    try {
      return await untilAborted(this.#exit, signal);
    } finally {
      release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#connection.close();
  }

  async #call(
    method: ControlMethod,
    params: unknown,
    { signal }: CallOptions,
    timeout = operationTimeout(),
  ): Promise<unknown> {
    this.#requireOpen(method);
    const action = `Cannot ${method} compute system "${this.id}"`;
    const pending = (): string[] => this.pendingOperations();
    return withDeadline({ signal, timeout: timeout + answerGrace, action, pending }, async (deadline) => {
      const calling = this.#connection.call(method, params, { signal: deadline });
      this.#pending.track(this.id, `${method} compute system "${this.id}"`, calling);
      try {
        return await calling;
      } catch (error) {
        if (!(error instanceof ConnectionClosed)) throw error;
        const { reason } = await this.#exit;
        const problem = `it has ended: ${reason}`;
        throw new HcsError({ action, problem, code: 'HCS_E_SYSTEM_ALREADY_STOPPED', cause: error });
      }
    });
  }

  #requireOpen(verb: string): void {
    if (!this.#closed) return;
    throw closedHandleError(verb, this.id);
  }
}

/** Connects to a port in the guest of a system that another process owns. */
export async function connectThroughOwner(
  state: StateDirectory,
  record: SystemRecord,
  port: number,
  { signal }: CallOptions = {},
): Promise<Duplex> {
  const action = `Cannot connect to port ${port} of compute system "${record.id}"`;
  return withDeadline({ signal, timeout: operationTimeout() + answerGrace, action }, async (deadline) => {
    const connection = await ControlConnection.open(state, record, deadline);
    try {
      await connection.call('connect', { port }, { signal: deadline });
      return connection.release();
    } catch (error) {
      connection.close();
      throw error;
    }
  });
}

class ConnectionClosed extends Error {}

class ControlConnection {
  readonly #socket: Socket;
  readonly #channel: LineChannel;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #onEnd = (): void => {
    this.#socket.destroy();
  };
  #lastId = 0;
  #connectId: number | undefined;
  #keepers = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#channel = new LineChannel(socket, (message) => this.#receive(message as ControlResponse));
    socket.on('error', () => socket.destroy());
    socket.once('end', this.#onEnd);
    socket.once('close', () => this.#fail());
    // A handle by itself keeps no process alive.
    socket.unref();
  }

  static async open(
    state: StateDirectory,
    record: SystemRecord,
    signal: AbortSignal,
  ): Promise<ControlConnection> {
    const socket = connect({ path: state.controlSocket(record.runtimeId), allowHalfOpen: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', resolve).once('error', reject);
    try {
      await promise;
    } catch (error) {
      socket.destroy();
      if (signal.aborted) throw signal.reason;
      throw new HcsError({
        action: `Cannot open compute system "${record.id}"`,
        problem: `its owner, process ${record.owner.pid}, does not answer`,
        code: 'HCS_E_SYSTEM_NOT_FOUND',
        cause: error,
      });
    } finally {
      signal.removeEventListener('abort', abort);
      socket.off('error', reject);
    }
    return new ControlConnection(socket);
  }

  async call(
    method: ControlMethod,
    params: unknown,
    { signal, background = false }: { signal?: AbortSignal; background?: boolean },
  ): Promise<unknown> {
    if (this.#socket.destroyed) throw new ConnectionClosed('The connection is closed');
    const id = ++this.#lastId;
    if (method === 'connect') this.#connectId = id;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(id, answer);
    const cancel = (): void => {
      this.#channel.send({ cancel: id });
      answer.reject(signal?.reason);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    const release = background ? undefined : this.keepAlive();
    try {
      this.#channel.send({ id, method, ...(params === undefined ? {} : { params }) });
      return await answer.promise;
    } finally {
      signal?.removeEventListener('abort', cancel);
      release?.();
      this.#pending.delete(id);
    }
  }

  /** Keeps the process alive until the returned function is called. */
  keepAlive(): () => void {
    if (this.#keepers++ === 0) this.#socket.ref();
    return () => {
      if (--this.#keepers === 0) this.#socket.unref();
    };
  }

  /** The connection as a plain stream. Only right after the answer to `connect`. */
  release(): Duplex {
    this.#socket.off('end', this.#onEnd);
    this.#socket.ref();
    return this.#socket;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(response: ControlResponse): void {
    const answer = this.#pending.get(response?.id);
    // The answer to a request that was given up.
    if (!answer) return;
    if ('error' in response) {
      answer.reject(decodeError(response.error));
      return;
    }
    // What follows this line are the bytes of the hvsocket.
    if (response.id === this.#connectId) this.#channel.release();
    answer.resolve(response.result);
  }

  #fail(): void {
    for (const answer of this.#pending.values()) {
      answer.reject(new ConnectionClosed('The process that owns it has closed the connection'));
    }
    this.#pending.clear();
  }
}
