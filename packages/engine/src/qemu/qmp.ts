import type { Duplex } from 'node:stream';
import { withDeadline } from '@hcsshim/hcs';
import { JsonLineDecoder } from './json-lines.ts';

/** How a command may be given up. */
export interface QmpCallOptions {
  signal?: AbortSignal | undefined;
  /** In milliseconds. @default 30000 */
  timeout?: number | undefined;
}

export interface QmpConnectOptions extends QmpCallOptions {
  /** The longest line accepted from QEMU, in bytes. @default 4194304 */
  lineLimit?: number;
  /** Called for each event from the first on. */
  onEvent?: (event: QmpEvent) => void;
}

/** Something that QEMU tells on its own, for example `DEVICE_DELETED`. */
export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

/** QEMU refused a command. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  readonly command: string;
  /** QEMU's error class: `GenericError`, `CommandNotFound`, `DeviceNotFound` … */
  readonly errorClass: string;
  /** QEMU's words. */
  readonly description: string;

  constructor(command: string, errorClass: string, description: string) {
    super(`QEMU refused "${command}": ${description} (${errorClass})`);
    this.command = command;
    this.errorClass = errorClass;
    this.description = description;
  }
}

/** The connection to QEMU is gone, so that no command can be answered any more. */
export class QmpClosedError extends Error {
  override readonly name = 'QmpClosedError';
}

interface PendingCommand {
  command: string;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** The longest reply QEMU 7.2 gives here is its list of machines, some 60 KiB. */
const defaultLineLimit = 4 * 1024 * 1024;
const defaultTimeout = 30_000;

/**
 * A client of the QEMU Machine Protocol (QEMU's docs/interop/qmp-spec): one JSON object a line, a greeting
 * first, then `qmp_capabilities`, then commands by id and events.
 */
export class QmpClient {
  readonly #stream: Duplex;
  readonly #decoder: JsonLineDecoder;
  readonly #pending = new Map<number, PendingCommand>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #greeted = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #nextId = 1;
  #failure: Error | undefined;

  private constructor(stream: Duplex, lineLimit: number) {
    this.#stream = stream;
    this.#decoder = new JsonLineDecoder(lineLimit);
    this.#greeted.promise.catch(() => {});
    stream.on('data', (bytes: Uint8Array) => this.#receive(bytes));
    stream.on('end', () => this.#fail(new QmpClosedError('QEMU closed the QMP connection')));
    stream.on('error', (error) =>
      this.#fail(new QmpClosedError('The QMP connection broke', { cause: error })),
    );
    stream.on('close', () => this.#fail(new QmpClosedError('The QMP connection is closed')));
  }

  /**
   * Takes over a connected stream, waits for the greeting and leaves negotiation mode.
   */
  static async connect(stream: Duplex, options: QmpConnectOptions = {}): Promise<QmpClient> {
    const client = new QmpClient(stream, options.lineLimit ?? defaultLineLimit);
    if (options.onEvent) client.onEvent(options.onEvent);
    try {
      await withDeadline(
        { signal: options.signal, timeout: options.timeout ?? defaultTimeout, action: 'Cannot greet QEMU' },
        () => client.#greeted.promise,
      );
      await client.execute('qmp_capabilities', {}, options);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Settles when the connection is gone, for whatever reason. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Runs one command and returns what it returned. Throws {@link QmpError} when QEMU refuses it,
   * {@link QmpClosedError} when the connection is lost, HCS_E_OPERATION_TIMEOUT after the deadline.
   * A command that was given up may still run in QEMU.
   */
  async execute(
    command: string,
    args: Record<string, unknown> = {},
    options: QmpCallOptions = {},
  ): Promise<unknown> {
    const id = this.#nextId++;
    return withDeadline(
      {
        signal: options.signal,
        timeout: options.timeout ?? defaultTimeout,
        action: `Cannot run QMP command "${command}"`,
      },
      async (signal) => {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        if (this.#failure) throw this.#failure;
        this.#pending.set(id, { command, resolve, reject });
        signal.addEventListener('abort', () => this.#pending.delete(id), { once: true });
        this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
        return promise;
      },
    );
  }

  /** Calls `listener` for each event from now on. Returns what ends that. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Runs a command and waits for the event that tells it is done; the listening starts before the command,
   * so that a quick event is not missed.
   */
  async executeUntil(
    command: string,
    args: Record<string, unknown>,
    matches: (event: QmpEvent) => boolean,
    options: QmpCallOptions = {},
  ): Promise<QmpEvent> {
    const { promise: seen, resolve } = Promise.withResolvers<QmpEvent>();
    const stop = this.onEvent((event) => {
      if (matches(event)) resolve(event);
    });
    try {
      await this.execute(command, args, options);
      return await withDeadline(
        {
          signal: options.signal,
          timeout: options.timeout ?? defaultTimeout,
          action: `Cannot complete QMP command "${command}"`,
        },
        () => Promise.race([seen, this.closed.then(() => Promise.reject(this.#failure))]),
      );
    } finally {
      stop();
    }
  }

  close(): void {
    this.#fail(new QmpClosedError('The QMP connection was closed'));
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure) return;
    try {
      for (const message of this.#decoder.push(bytes)) this.#dispatch(message);
    } catch (error) {
      this.#fail(new QmpClosedError('QEMU sent what is no QMP', { cause: error }));
    }
  }

  #dispatch(message: Record<string, unknown>): void {
    if ('QMP' in message) {
      this.#greeted.resolve();
    } else if (typeof message.event === 'string') {
      const event = { event: message.event, data: asObject(message.data) };
      for (const listener of [...this.#listeners]) listener(event);
    } else if (typeof message.id === 'number') {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if (!pending) return;
      if ('error' in message) {
        const { class: errorClass, desc } = asObject(message.error);
        pending.reject(
          new QmpError(pending.command, String(errorClass ?? 'unknown class'), String(desc ?? 'no reason')),
        );
      } else {
        pending.resolve(message.return);
      }
    }
  }

  #fail(failure: QmpClosedError): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#greeted.reject(failure);
    for (const { reject } of this.#pending.values()) reject(failure);
    this.#pending.clear();
    this.#listeners.clear();
    this.#stream.destroy();
    this.#closed.resolve();
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
