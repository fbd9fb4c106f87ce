import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { HcsError } from '@hcsshim/hcs';
import type { ModifySettingRequest, PropertyQuery } from '@hcsshim/schema';
import {
  type ControlCancel,
  type ControlMethod,
  type ControlRequest,
  type ControlResponse,
  encodeError,
} from './control-protocol.ts';
import { LineChannel } from './line-channel.ts';
import type { OwnedSystem } from './owned-system.ts';

const mostConnections = 256;
const mostPendingRequests = 64;

type Handler = (system: OwnedSystem, params: unknown, signal: AbortSignal) => Promise<unknown>;

/** What a request does. `open` and `connect` concern the connection itself and are not among these. */
const handlers: Record<Exclude<ControlMethod, 'open' | 'connect'>, Handler> = {
  start: (system, _, signal) => system.start({ signal }),
  shutdown: (system, _, signal) => system.shutdown({ signal }),
  terminate: (system, _, signal) => system.terminate({ signal }),
  pause: (system, _, signal) => system.pause({ signal }),
  resume: (system, _, signal) => system.resume({ signal }),
  crash: (system, _, signal) => system.crash({ signal }),
  properties: (system, query, signal) => system.getProperties(query as PropertyQuery, { signal }),
  modify: (system, request, signal) => system.modify(request as ModifySettingRequest, { signal }),
  wait: (system, _, signal) => system.wait({ signal }),
};

/** Answers other processes at a system's control socket. Requests wait until there is a system to serve. */
export class ControlServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #system = Promise.withResolvers<OwnedSystem>();
  readonly #connections = new Set<Socket>();

  private constructor(id: string) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, id));
    this.#server.maxConnections = mostConnections;
    this.#system.promise.catch(() => {});
  }

  static async listen(path: string, id: string): Promise<ControlServer> {
    const control = new ControlServer(id);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    control.#server.once('error', reject).listen(path, resolve);
    await promise;
    await chmod(path, 0o600);
    return control;
  }

  serve(system: OwnedSystem): void {
    this.#system.resolve(system);
  }

  /** Answers what can be answered, then closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#system.reject(
      new HcsError({
        action: 'Cannot open compute system',
        problem: 'its creation failed',
        code: 'HCS_E_SYSTEM_NOT_FOUND',
      }),
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#connections) socket.destroySoon();
    await promise;
  }

  #accept(socket: Socket, id: string): void {
    this.#connections.add(socket);
    socket.on('error', () => socket.destroy());
    const connection = new ControlConnection(socket, id, this.#system.promise);
    socket.once('close', () => {
      this.#connections.delete(socket);
      connection.close();
    });
  }
}

class ControlConnection {
  readonly #id: string;
  readonly #system: Promise<OwnedSystem>;
  readonly #channel: LineChannel;
  readonly #pending = new Map<number, AbortController>();
  readonly #onEnd = (): void => {
    this.#channel.socket.end();
  };
  #opened: OwnedSystem | undefined;

  constructor(socket: Socket, id: string, system: Promise<OwnedSystem>) {
    this.#id = id;
    this.#system = system;
    this.#channel = new LineChannel(socket, (message) => this.#receive(message));
    socket.once('end', this.#onEnd);
  }

  /** The peer has gone: what it waits for is given up, its handle is closed. */
  close(): void {
    for (const controller of this.#pending.values()) {
      controller.abort(new Error('The process that asked for it has closed its connection'));
    }
    this.#opened?.release().catch(() => {});
    this.#opened = undefined;
  }

  #receive(message: unknown): void {
    if (typeof message !== 'object' || message === null) {
      this.#channel.socket.destroy();
      return;
    }
    if ('cancel' in message) {
      this.#pending.get((message as ControlCancel).cancel)?.abort();
      return;
    }
    const request = message as ControlRequest;
    if (request.method === 'connect') {
      void this.#relay(request, this.#channel.release());
      return;
    }
    void this.#answer(request);
  }

  async #answer({ id, method, params }: ControlRequest): Promise<void> {
    let response: ControlResponse;
    const controller = new AbortController();
    try {
      if (this.#pending.size >= mostPendingRequests) {
        throw this.#error(
          `${mostPendingRequests} requests wait for an answer already`,
          'HCS_E_OPERATION_PENDING',
        );
      }
      this.#pending.set(id, controller);
      const system = await this.#system;
      if (method === 'open') {
        response = { id, result: this.#open(system) };
      } else if (Object.hasOwn(handlers, method)) {
        const result = await handlers[method as keyof typeof handlers](system, params, controller.signal);
        response = { id, result: result ?? null };
      } else {
        throw this.#error(`no method "${method}"`, 'HCS_E_UNKNOWN_MESSAGE');
      }
    } catch (error) {
      response = { id, error: encodeError(error) };
    }
    this.#pending.delete(id);
    this.#channel.send(response);
  }

  #open(system: OwnedSystem): { runtimeId: string } {
    if (!this.#opened && !this.#channel.socket.destroyed) {
      system.retain();
      this.#opened = system;
    }
    return { runtimeId: system.runtimeId };
  }

  async #relay({ id, params }: ControlRequest, socket: Socket): Promise<void> {
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    socket.once('close', abort);
    try {
      const system = await this.#system;
      const port = (params as { port?: unknown } | undefined)?.port;
      if (typeof port !== 'number') throw this.#error('connect names no port', 'HCS_E_PROTOCOL_ERROR');
      const stream = await system.connect(port, { signal: controller.signal });
      socket.off('close', abort);
      socket.off('end', this.#onEnd);
      socket.write(`${JSON.stringify({ id, result: null } satisfies ControlResponse)}\n`);
      pipeline(socket, stream, socket, () => {});
    } catch (error) {
      socket.end(`${JSON.stringify({ id, error: encodeError(error) } satisfies ControlResponse)}\n`);
    }
  }

  #error(
    problem: string,
    code: 'HCS_E_OPERATION_PENDING' | 'HCS_E_UNKNOWN_MESSAGE' | 'HCS_E_PROTOCOL_ERROR',
  ) {
    return new HcsError({ action: `Cannot control compute system "${this.#id}"`, problem, code });
  }
}
