import type { DescMessage, DescMethod, MessageShape } from '@bufbuild/protobuf';
import { startTimer } from './deadline.ts';
import type { ResponseEnvelope } from './envelope.ts';
import { TtrpcError } from './error.ts';
import { FrameFlag } from './frame.ts';
import type { Inbox } from './inbox.ts';
import { decodeMessage } from './message.ts';
import type { MetadataInit } from './metadata.ts';
import { clientStreams, methodName, serverStreams } from './method.ts';

export interface CallOptions {
  /**
   * Gives the call up: it rejects with Canceled, or with DeadlineExceeded for `AbortSignal.timeout()`. TTRPC
   * has no way to tell the server, which works on until its own deadline.
   */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds for the whole call; the server is told. It rejects with DeadlineExceeded.
   * @default no limit
   */
  timeoutMs?: number | undefined;
  /** @default none */
  metadata?: MetadataInit | undefined;
}

/** A call that waits for what comes on its stream. */
export interface ClientCall {
  readonly name: string;
  /** Whether the server has been told that more will come on this stream, and not yet that it was all. */
  readonly sending: boolean;
  /** The last frame of every stream that the server answers with one. */
  response(envelope: ResponseEnvelope): void;
  /** A message of a stream. Returns true when it was the last, or broke the rules and so ended the call. */
  data(flags: number, message: Uint8Array): boolean;
  fail(error: TtrpcError): void;
}

/** One request, one answer. */
export class UnaryCall<O extends DescMessage> implements ClientCall {
  readonly name: string;
  readonly sending = false;
  readonly #output: O;
  readonly #limits: CallLimits | undefined;
  readonly #resolve: (message: MessageShape<O>) => void;
  readonly #reject: (error: TtrpcError) => void;

  constructor(
    name: string,
    output: O,
    limits: CallLimits | undefined,
    resolve: (message: MessageShape<O>) => void,
    reject: (error: TtrpcError) => void,
  ) {
    this.name = name;
    this.#output = output;
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  response({ status, payload }: ResponseEnvelope): void {
    if (status !== undefined && status.code !== 0) {
      this.fail(TtrpcError.fromStatus(status.code, status.message, status.details));
      return;
    }
    this.#limits?.end();
    try {
      this.#resolve(decodeMessage(this.#output, payload, this.name));
    } catch (error) {
      this.#reject(error as TtrpcError);
    }
  }

  data(): boolean {
    this.fail(answeredWithStream(this.name));
    return true;
  }

  fail(error: TtrpcError): void {
    this.#limits?.end();
    this.#reject(error);
  }
}

/** A call with a stream of answers, or of requests, or both. */
export class StreamCall implements ClientCall {
  readonly name: string;
  readonly inbox: Inbox;
  sending: boolean;
  readonly #limits: CallLimits | undefined;
  readonly #serverStreams: boolean;

  constructor(method: DescMethod, inbox: Inbox, limits: CallLimits | undefined) {
    this.name = methodName(method);
    this.inbox = inbox;
    this.sending = clientStreams(method);
    this.#limits = limits;
    this.#serverStreams = serverStreams(method);
  }

  /**
   * The last frame of a stream: an error, the one answer to a stream of requests, or, where answers stream, the
   * last of them; with no payload it then ends the stream without a further message.
   */
  response({ status, payload }: ResponseEnvelope): void {
    this.#limits?.end();
    if (status !== undefined && status.code !== 0) {
      this.inbox.end(TtrpcError.fromStatus(status.code, status.message, status.details));
      return;
    }
    if (payload !== undefined) this.inbox.push(payload);
    else if (!this.#serverStreams) this.inbox.push(new Uint8Array());
    this.inbox.end();
  }

  data(flags: number, message: Uint8Array): boolean {
    if (!this.#serverStreams) {
      this.fail(answeredWithStream(this.name));
      return true;
    }
    if ((flags & FrameFlag.noData) === 0) this.inbox.push(message);
    if ((flags & FrameFlag.remoteClosed) === 0) return false;
    this.#limits?.end();
    this.inbox.end();
    return true;
  }

  fail(error: TtrpcError): void {
    this.#limits?.end();
    this.inbox.abort(error);
  }
}

/** What ends a call from this side: its deadline and its signal. */
export class CallLimits {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;

  private constructor(name: string, options: CallOptions, giveUp: (error: TtrpcError) => void) {
    const { signal, timeoutMs } = options;
    this.#onAbort = () => giveUp(TtrpcError.fromAbort(signal?.reason, `Cannot call "${name}"`));
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs !== undefined)
      this.#timer = startTimer(timeoutMs, () => giveUp(deadlineExceeded(name, timeoutMs)));
  }

  /** Starts to watch over a call; undefined for a call without limits, which so costs nothing. */
  static watch(
    name: string,
    options: CallOptions,
    giveUp: (error: TtrpcError) => void,
  ): CallLimits | undefined {
    if (options.signal === undefined && options.timeoutMs === undefined) return undefined;
    return new CallLimits(name, options, giveUp);
  }

  /** Throws for a call whose limits were reached before it began. */
  static check(name: string, { signal, timeoutMs }: CallOptions): void {
    if (signal?.aborted) throw TtrpcError.fromAbort(signal.reason, `Cannot call "${name}"`);
    if (timeoutMs !== undefined && !(timeoutMs > 0)) throw deadlineExceeded(name, timeoutMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

function answeredWithStream(name: string): TtrpcError {
  return new TtrpcError('Internal', `Cannot call "${name}": the server answered with a stream`);
}

function deadlineExceeded(name: string, timeoutMs: number): TtrpcError {
  return new TtrpcError('DeadlineExceeded', `Cannot call "${name}": no answer within ${timeoutMs} ms`);
}
