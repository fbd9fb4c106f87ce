import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import { createClient, TtrpcConnection } from '@hcsshim/ttrpc';
import { type Envelope, EnvelopeSchema, Events } from './generated/containerd/events/v1/forward_pb.ts';
import { describeError, type Log } from './log.ts';

/** Topic of each event message. Source: containerd `runtime/events.go`. */
const topics: Record<string, string> = {
  'containerd.events.TaskCreate': '/tasks/create',
  'containerd.events.TaskStart': '/tasks/start',
  'containerd.events.TaskExit': '/tasks/exit',
  'containerd.events.TaskDelete': '/tasks/delete',
  'containerd.events.TaskExecAdded': '/tasks/exec-added',
  'containerd.events.TaskExecStarted': '/tasks/exec-started',
  'containerd.events.TaskPaused': '/tasks/paused',
  'containerd.events.TaskResumed': '/tasks/resumed',
};

export interface EventPublisherOptions {
  /** Path of containerd's TTRPC socket. Empty: events are dropped. */
  address: string;
  namespace: string;
  log: Log;
  /** Limit for one attempt, as containerd's Go shims have it. In milliseconds. @default 5000 */
  timeout?: number;
  /** Pause before the nth retry is n times this. In milliseconds. @default 1000 */
  retryPause?: number;
}

const retries = 5;
/** Far more than a shim ever has to say while containerd restarts. */
const longestQueue = 4096;

/**
 * Sends events to containerd, strictly one after another: containerd handles what it receives in parallel, so
 * that a second event sent before the first is answered may overtake it. An event that cannot be delivered is
 * tried again, then dropped and logged.
 */
export class EventPublisher implements AsyncDisposable {
  readonly #options: EventPublisherOptions;
  readonly #timeout: number;
  readonly #retryPause: number;
  readonly #closing = new AbortController();
  #connection: TtrpcConnection | undefined;
  #queued = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(options: EventPublisherOptions) {
    this.#options = options;
    this.#timeout = options.timeout ?? 5_000;
    this.#retryPause = options.retryPause ?? 1_000;
  }

  /** Queues an event, with the time of now. Resolves when it has been delivered or dropped; never rejects. */
  publish<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Promise<void> {
    const { address, namespace, log } = this.#options;
    const topic = topics[schema.typeName] ?? '';
    if (address === '' || this.#queued >= longestQueue) {
      log.warning('event dropped', {
        topic,
        reason: address === '' ? 'TTRPC_ADDRESS is not set' : 'too many wait',
      });
      return this.#last;
    }
    const envelope = create(EnvelopeSchema, {
      timestamp: timestampNow(),
      namespace,
      topic,
      // containerd's typeurl package knows its own messages by their bare names.
      event: { typeUrl: schema.typeName, value: toBinary(schema, create(schema, message)) },
    });
    this.#queued++;
    this.#last = this.#last.then(() => this.#deliver(envelope)).finally(() => this.#queued--);
    return this.#last;
  }

  /** Resolves when all events so far have been delivered or dropped. */
  async drained(): Promise<void> {
    await this.#last;
  }

  /** Drops what still waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#last;
    await this.#connection?.close();
  }

  async #deliver(envelope: Envelope): Promise<void> {
    const { log } = this.#options;
    for (let attempt = 0; attempt <= retries && !this.#closing.signal.aborted; attempt++) {
      try {
        if (attempt > 0) await sleep(this.#retryPause * attempt, undefined, { signal: this.#closing.signal });
        await this.#forward(envelope);
        return;
      } catch (error) {
        log.debug('event not delivered', { topic: envelope.topic, attempt, error: describeError(error) });
      }
    }
    log.warning('event dropped', { topic: envelope.topic, reason: 'containerd does not take it' });
  }

  async #forward(envelope: Envelope): Promise<void> {
    const signal = AbortSignal.any([AbortSignal.timeout(this.#timeout), this.#closing.signal]);
    this.#connection ??= await this.#connect(signal);
    const connection = this.#connection;
    try {
      await createClient(Events, connection).forward({ envelope }, { signal, timeoutMs: this.#timeout });
    } catch (error) {
      // Whatever went wrong, a new connection is the better place for the next attempt.
      this.#connection = undefined;
      await connection.close();
      throw error;
    }
  }

  async #connect(signal: AbortSignal): Promise<TtrpcConnection> {
    const socket = createConnection(this.#options.address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', resolve);
    socket.on('error', reject);
    try {
      await promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
    const connection = new TtrpcConnection(socket);
    void connection.closed.then(() => {
      if (this.#connection === connection) this.#connection = undefined;
    });
    return connection;
  }
}
