import type { Duplex } from 'node:stream';
import {
  GuestMessageKind,
  type GuestMessageName,
  type GuestMessages,
  type GuestNotification,
  guestMessages,
  HcsError,
  notificationId,
  readDocument,
  readNotification,
} from '@hcsshim/schema';
import { type BridgeLog, hex } from './bridge-log.ts';
import { type Frame, FrameDecoder } from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import { guestError } from './guest-failure.ts';
import { decodeBody, encodeHostBody } from './json-body.ts';
import { untilClosed } from './stream-end.ts';

export interface BridgeClientOptions {
  log: BridgeLog;
  /** In milliseconds. */
  answerTimeout: number;
  /** In bytes. */
  frameLimit: number;
  /** False when the notification is for no container that is known. */
  notify: (notification: GuestNotification) => boolean;
}

interface Call {
  readonly name: GuestMessageName;
  readonly subject: string;
  readonly answer: PromiseWithResolvers<unknown>;
}

/**
 * Requests and their answers over one stream, matched by sequence id. A peer that breaks the protocol or does
 * not answer ends the bridge: what it did or did not do is unknown from then on.
 */
export class BridgeClient implements AsyncDisposable {
  readonly closed: Promise<Error | undefined>;
  readonly #stream: Duplex;
  readonly #writer: FrameWriter;
  readonly #options: BridgeClientOptions;
  readonly #calls = new Map<bigint, Call>();
  #nextId = 0n;
  /** Why the bridge has ended; undefined while it is open. */
  #end: { error: Error | undefined } | undefined;

  constructor(stream: Duplex, options: BridgeClientOptions) {
    this.#stream = stream;
    this.#writer = new FrameWriter(stream);
    this.#options = options;
    // A write that fails is reported to the call that made it and to the reader; nobody else need listen.
    stream.on('error', () => {});
    this.closed = this.#receive();
  }

  /** Only a cancelable request is given up by the signal once it has been sent; its answer is then ignored. */
  async request<N extends GuestMessageName>(
    name: N,
    request: GuestMessages[N]['request'],
    { signal, cancelable = true }: { signal?: AbortSignal | undefined; cancelable?: boolean },
  ): Promise<GuestMessages[N]['response']> {
    signal?.throwIfAborted();
    const subject = `${name} of "${request.ContainerId}"`;
    if (this.#end) throw this.#closedError(subject);
    const answer = Promise.withResolvers<unknown>();
    answer.promise.catch(() => {});
    const sequenceId = this.#nextId++;
    this.#calls.set(sequenceId, { name, subject, answer });
    const body = encodeHostBody(request);
    this.#trace('send', guestMessages[name].requestId, sequenceId, body.length);
    this.#writer
      .write({ type: guestMessages[name].requestId, sequenceId, body })
      .catch((error) => this.#finish(error));

    const onAbort = (): void => answer.reject(signal?.reason);
    if (cancelable) signal?.addEventListener('abort', onAbort, { once: true });
    const timer = name === 'WaitForProcess' ? undefined : this.#limitAnswer(subject);
    try {
      return (await answer.promise) as GuestMessages[N]['response'];
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish(undefined);
    await this.closed;
  }

  #limitAnswer(subject: string): NodeJS.Timeout {
    const { answerTimeout } = this.#options;
    return setTimeout(() => {
      this.#finish(
        new HcsError({
          action: `Cannot complete ${subject} in the guest`,
          problem: `the agent did not answer within ${answerTimeout / 1000} s`,
          code: 'HCS_E_CONNECTION_TIMEOUT',
        }),
      );
    }, answerTimeout).unref();
  }

  async #receive(): Promise<Error | undefined> {
    const decoder = new FrameDecoder(this.#options.frameLimit);
    try {
      await untilClosed(this.#stream, (chunk) => {
        for (const frame of decoder.push(chunk)) this.#take(frame);
      });
      decoder.finish();
      this.#finish(undefined);
    } catch (error) {
      this.#finish(error as Error);
    }
    return this.#end?.error;
  }

  /** Ends the bridge once; what is pending learns why. */
  #finish(error: Error | undefined): void {
    if (this.#end) return;
    this.#end = { error };
    this.#stream.destroy();
    if (error)
      this.#options.log({ level: 'error', message: 'Bridge ended', fields: { error: error.message } });
    for (const call of this.#calls.values()) call.answer.reject(this.#closedError(call.subject));
    this.#calls.clear();
  }

  #take(frame: Frame): void {
    this.#trace('receive', frame.type, frame.sequenceId, frame.body.length);
    switch (frame.type >>> 28) {
      case GuestMessageKind.response:
        this.#takeResponse(frame);
        break;
      case GuestMessageKind.notification:
        this.#takeNotification(frame);
        break;
      default:
        throw protocolError(`the guest sent a frame of unknown kind, type ${hex(frame.type)}`);
    }
  }

  #takeResponse({ type, sequenceId, body }: Frame): void {
    const call = this.#calls.get(sequenceId);
    if (!call || type !== guestMessages[call.name].responseId) {
      throw protocolError(
        `the guest answered type ${hex(type)} to request ${sequenceId}, which was not asked`,
      );
    }
    const subject = `the answer to ${call.subject}`;
    const response = readDocument(subject, decodeBody(subject, body), guestMessages[call.name].readResponse);
    this.#calls.delete(sequenceId);
    if (response.Result === 0) {
      call.answer.resolve(response);
      return;
    }
    for (const record of response.ErrorRecords ?? []) {
      this.#options.log({
        level: 'error',
        message: 'Guest reports an error',
        fields: {
          request: call.subject,
          result: hex(record.Result >>> 0),
          error: record.Message,
          module: record.ModuleName,
          file: record.FileName,
          line: record.Line,
          function: record.FunctionName ?? '',
        },
      });
    }
    call.answer.reject(guestError(`Cannot complete ${call.subject} in the guest`, response));
  }

  #takeNotification({ type, body }: Frame): void {
    if (type !== notificationId)
      throw protocolError(`the guest sent an unknown notification, type ${hex(type)}`);
    const notification = readDocument(
      'a notification of the guest',
      decodeBody('a notification of the guest', body),
      readNotification,
    );
    if (this.#options.notify(notification)) return;
    // Upstream ends the bridge here; but the exit of a container may cross with the deletion of its state.
    this.#options.log({
      level: 'error',
      message: 'Guest notifies of a container that is not known',
      fields: { container: notification.ContainerId, type: notification.Type },
    });
  }

  #closedError(subject: string): HcsError {
    const cause = this.#end?.error;
    return new HcsError({
      action: `Cannot complete ${subject} in the guest`,
      problem: 'the connection to the agent has ended',
      code: 'HCS_E_CONNECTION_CLOSED',
      ...(cause ? { cause } : {}),
    });
  }

  #trace(direction: 'send' | 'receive', type: number, sequenceId: bigint, bytes: number): void {
    this.#options.log({
      level: 'debug',
      message: `Bridge ${direction}`,
      fields: { type: hex(type), id: String(sequenceId), bytes },
    });
  }
}

function protocolError(problem: string): HcsError {
  return new HcsError({ action: 'Cannot go on with the bridge', problem, code: 'HCS_E_PROTOCOL_ERROR' });
}
