import type { Duplex } from 'node:stream';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import {
  type GuestCapabilities,
  GuestMessageKind,
  type GuestMessageName,
  type GuestMessages,
  type GuestNotification,
  type GuestRequestBase,
  type GuestResponseBase,
  guestMessageName,
  guestMessages,
  guestProtocolVersion,
  HcsError,
  noActivity,
  notificationId,
  readDocument,
} from '@hcsshim/schema';
import { type BridgeLog, hex } from './bridge-log.ts';
import { errorResponse } from './error-response.ts';
import { type Frame, FrameDecoder, frameHeaderSize, guestFrameLimit, hostFrameLimit } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { decodeBody, encodeGuestBody } from './json-body.ts';
import { untilClosed } from './stream-end.ts';

/** Answered by the server itself, not by a handler. */
type HandledMessageName = Exclude<GuestMessageName, 'NegotiateProtocol'>;

/** What a handler adds to the base of its response. */
type ResponseFields<N extends GuestMessageName> = Omit<GuestMessages[N]['response'], keyof GuestResponseBase>;

export interface GuestRequestContext {
  /** Aborts when the connection ends or the server quits: the answer would reach nobody. */
  readonly signal: AbortSignal;
  /**
   * Ends the server's work as {@link BridgeServer.quit} does, without an answer to this request and without
   * waiting for it. Resolves when the connection is closed.
   */
  quit(): Promise<void>;
}

type GuestHandler<N extends GuestMessageName> = (
  request: GuestMessages[N]['request'],
  context: GuestRequestContext,
) => Partial<ResponseFields<N>> extends ResponseFields<N>
  ? Promise<void> | Promise<ResponseFields<N>>
  : Promise<ResponseFields<N>>;

/** A handler per message; a message without one is answered HCS_E_UNKNOWN_MESSAGE. */
export type GuestHandlers = { readonly [N in HandledMessageName]?: GuestHandler<N> };

export interface BridgeServerOptions {
  /** @default {@link linuxGuestCapabilities} */
  capabilities?: GuestCapabilities;
  log?: BridgeLog;
  /** Largest frame taken from the host, in bytes. @default 16 MiB */
  frameLimit?: number;
  /**
   * Largest frame sent, in bytes. A larger response becomes an error, because an upstream host would close
   * the connection. @default 65536
   */
  responseLimit?: number;
  /** Requests being worked on at once; more are refused. @default 4096 */
  concurrency?: number;
  /** How long quitting waits for the requests at work, in milliseconds. @default 5000 */
  drainTimeout?: number;
}

/** What upstream's Linux guest says of itself. */
export const linuxGuestCapabilities: GuestCapabilities = {
  SupportedSchemaVersions: [{ Major: 2, Minor: 1 }],
  RuntimeOsType: 'Linux',
  GuestDefinedCapabilities: {
    NamespaceAddRequestSupported: true,
    SignalProcessSupported: true,
    DumpStacksSupported: true,
    DeleteContainerStateSupported: true,
  },
};

/** The guest's end of the bridge: answers a host's requests, each on its own, and sends notifications. */
export class BridgeServer {
  readonly #options: Required<BridgeServerOptions>;
  #session: Session | undefined;

  constructor(options: BridgeServerOptions = {}) {
    this.#options = {
      capabilities: linuxGuestCapabilities,
      log: () => {},
      frameLimit: guestFrameLimit,
      responseLimit: hostFrameLimit,
      concurrency: 4096,
      drainTimeout: 5000,
      ...options,
    };
  }

  /**
   * Serves one host until it closes the connection, a handler quits, or the signal aborts. Owns the stream. Can be
   * called again with another stream afterwards; the protocol is then negotiated anew.
   * Rejects when the stream fails, ends inside a frame, or carries what is not the protocol.
   */
  async serve(
    stream: Duplex,
    handlers: GuestHandlers,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    if (this.#session) throw new Error('Cannot serve a second host: the first is still connected');
    const session = new Session(stream, handlers, this.#options);
    this.#session = session;
    const onAbort = (): void => void session.quit();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await session.run();
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#session = undefined;
    }
  }

  /** Tells the host that a container has ended. Resolves when it is on its way. Throws HCS_E_CONNECTION_CLOSED. */
  async publish(notification: GuestNotification): Promise<void> {
    if (!this.#session) {
      throw new HcsError({
        action: `Cannot notify the host of container "${notification.ContainerId}"`,
        problem: 'no host is connected',
        code: 'HCS_E_CONNECTION_CLOSED',
      });
    }
    await this.#session.publish(notification);
  }

  /**
   * Takes no more requests, lets those at work finish for up to 5 s with their signals aborted, sends what is
   * to be sent, and closes the connection.
   */
  async quit(): Promise<void> {
    await this.#session?.quit();
  }
}

/** One connection of a host, from its first byte to its last. */
class Session {
  readonly #stream: Duplex;
  readonly #handlers: GuestHandlers;
  readonly #options: Required<BridgeServerOptions>;
  readonly #writer: FrameWriter;
  readonly #ending = new AbortController();
  readonly #atWork = new Set<Promise<void>>();
  #negotiated = false;
  #quitting: Promise<void> | undefined;

  constructor(stream: Duplex, handlers: GuestHandlers, options: Required<BridgeServerOptions>) {
    this.#stream = stream;
    this.#handlers = handlers;
    this.#options = options;
    this.#writer = new FrameWriter(stream);
    stream.on('error', () => {});
  }

  async run(): Promise<void> {
    const decoder = new FrameDecoder(this.#options.frameLimit);
    try {
      await untilClosed(this.#stream, (chunk) => {
        for (const frame of decoder.push(chunk)) this.#take(frame);
      });
      if (!this.#quitting) decoder.finish();
    } catch (error) {
      if (!this.#quitting) throw error;
    } finally {
      this.#ending.abort();
      await this.#quitting;
      this.#stream.destroy();
    }
  }

  async publish(notification: GuestNotification): Promise<void> {
    const body = encodeGuestBody({ ActivityId: noActivity, ...notification });
    this.#trace('send', notificationId, 0n, body.length);
    await this.#writer.write({ type: notificationId, sequenceId: 0n, body });
  }

  quit(): Promise<void> {
    this.#quitting ??= this.#drain();
    return this.#quitting;
  }

  async #drain(): Promise<void> {
    this.#ending.abort();
    const timer = new AbortController();
    const finished = Promise.all(this.#atWork).then(async () => {
      await this.#writer.flushed();
      await new Promise<void>((resolve) => this.#stream.end(() => resolve()));
    });
    const timeout = delay(this.#options.drainTimeout, undefined, { signal: timer.signal }).catch(() => {});
    await Promise.race([finished, timeout]);
    timer.abort();
    this.#stream.destroy();
  }

  #take(frame: Frame): void {
    this.#trace('receive', frame.type, frame.sequenceId, frame.body.length);
    if (this.#quitting) return;
    if (frame.type >>> 28 !== GuestMessageKind.request) {
      throw new HcsError({
        action: 'Cannot go on with the bridge',
        problem: `the host sent type ${hex(frame.type)}, which is no request`,
        code: 'HCS_E_PROTOCOL_ERROR',
      });
    }
    const leave = (): void => void this.#atWork.delete(work);
    const work = this.#answer(frame, leave);
    this.#atWork.add(work);
    void work.finally(leave);
  }

  /** Never rejects: what goes wrong becomes the response, and a response that cannot be sent ends the stream. */
  async #answer(frame: Frame, leave: () => void): Promise<void> {
    let base: Pick<GuestRequestBase, 'ActivityId'> = {};
    let response: GuestResponseBase | undefined;
    try {
      const subject = guestMessageName(frame.type) ?? `a message of type ${hex(frame.type)}`;
      const document = decodeBody(subject, frame.body);
      base = activityOf(document);
      response = await this.#handle(frame, document, leave);
    } catch (error) {
      // A request that was given up because the connection is ending gets that as its answer.
      if (!this.#ending.signal.aborted) response = errorResponse(error);
    }
    if (response) await this.#respond(frame, { ...base, ...response });
  }

  /** Undefined when the host is to get no answer. */
  async #handle(frame: Frame, document: unknown, leave: () => void): Promise<GuestResponseBase | undefined> {
    const name = guestMessageName(frame.type);
    const handler = name && this.#handlerOf(name);
    if (!handler) {
      throw new HcsError({
        action: `Cannot handle ${name ?? `a message of type ${hex(frame.type)}`}`,
        problem:
          this.#negotiated || name === undefined
            ? 'the agent does not know it'
            : 'the protocol version has not been negotiated',
        code: 'HCS_E_UNKNOWN_MESSAGE',
      });
    }
    if (this.#atWork.size >= this.#options.concurrency) {
      throw new HcsError({
        action: `Cannot handle ${name}`,
        problem: `${this.#options.concurrency} requests are being worked on, try again when one has ended`,
        code: 'HCS_E_INVALID_STATE',
      });
    }
    const request = readDocument(`the request ${name}`, document, guestMessages[name].readRequest);
    let silent = false;
    const quit = async (): Promise<void> => {
      silent = true;
      // The handler may still be in its first synchronous stretch, before its work is on the list.
      await nextTurn();
      leave();
      await this.quit();
    };
    const fields = await handler(request as never, { signal: this.#ending.signal, quit });
    return silent ? undefined : { Result: 0, ...fields };
  }

  #handlerOf(name: GuestMessageName): GuestHandler<GuestMessageName> | undefined {
    if (name === 'NegotiateProtocol') {
      return this.#negotiated ? undefined : (this.#negotiate as GuestHandler<GuestMessageName>);
    }
    return this.#negotiated ? (this.#handlers[name] as GuestHandler<GuestMessageName>) : undefined;
  }

  readonly #negotiate: GuestHandler<'NegotiateProtocol'> = async ({ MinimumVersion, MaximumVersion }) => {
    if (MaximumVersion < guestProtocolVersion || MinimumVersion > guestProtocolVersion) {
      throw new HcsError({
        action: 'Cannot negotiate the protocol',
        problem: `the host speaks versions ${MinimumVersion} to ${MaximumVersion}, the guest ${guestProtocolVersion}`,
        code: 'HCS_E_UNSUPPORTED_PROTOCOL_VERSION',
      });
    }
    this.#negotiated = true;
    return { Version: guestProtocolVersion, Capabilities: this.#options.capabilities };
  };

  async #respond({ type, sequenceId }: Frame, response: GuestResponseBase): Promise<void> {
    const responseType = ((GuestMessageKind.response << 28) | (type & 0x0fffffff)) >>> 0;
    let body = encodeGuestBody(response);
    if (frameHeaderSize + body.length > this.#options.responseLimit) {
      body = encodeGuestBody({ ActivityId: response.ActivityId, ...this.#tooLarge(body.length) });
    }
    this.#trace('send', responseType, sequenceId, body.length);
    try {
      await this.#writer.write({ type: responseType, sequenceId, body });
    } catch (error) {
      this.#stream.destroy(error as Error);
    }
  }

  #tooLarge(bytes: number): GuestResponseBase {
    return errorResponse(
      new HcsError({
        action: 'Cannot send the response',
        problem: `it has ${bytes} bytes, a frame holds ${this.#options.responseLimit}`,
        code: 'HCS_E_PROTOCOL_ERROR',
      }),
    );
  }

  #trace(direction: 'send' | 'receive', type: number, sequenceId: bigint, bytes: number): void {
    this.#options.log({
      level: 'debug',
      message: `Bridge ${direction}`,
      fields: { type: hex(type), id: String(sequenceId), bytes },
    });
  }
}

function activityOf(document: unknown): { ActivityId?: string } {
  const activity = (document as Partial<GuestRequestBase> | null)?.ActivityId;
  return typeof activity === 'string' ? { ActivityId: activity } : {};
}
