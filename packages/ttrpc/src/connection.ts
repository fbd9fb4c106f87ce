import type { Duplex } from 'node:stream';
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { CallLimits, type CallOptions, type ClientCall, StreamCall, UnaryCall } from './client-call.ts';
import { toTimeoutNano } from './deadline.ts';
import { decodeResponse, encodeRequest, type ResponseEnvelope } from './envelope.ts';
import { TtrpcError } from './error.ts';
import { plainBytes } from './fields.ts';
import { FrameFlag, FrameType, frameHeaderLength } from './frame.ts';
import { FrameChannel } from './frame-channel.ts';
import { Inbox } from './inbox.ts';
import { assertWithinLimit, messageLimit, overLimit } from './limit.ts';
import { decodeMessage, encodeMessage, frameMessage } from './message.ts';
import { metadataToEntries } from './metadata.ts';
import { clientStreams, methodName } from './method.ts';

export interface ConnectionOptions {
  /**
   * Milliseconds that the reader of a stream may leave its full inbox alone, and so keep the connection
   * stopped; then its call fails with ResourceExhausted.
   * @default 1000
   */
  stallTimeoutMs?: number;
}

const lastStreamId = 0xffff_ffff;

/**
 * The client's end of a connection: any number of calls at once over one duplex stream, which it owns. A call
 * rejects with a TtrpcError; with Unavailable when the connection is lost.
 */
export class TtrpcConnection implements AsyncDisposable {
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #channel: FrameChannel;
  readonly #calls = new Map<number, ClientCall>();
  readonly #stallTimeoutMs: number;
  #nextStreamId = 1;
  /** Why no more calls are possible. */
  #over: { reason: Error | undefined } | undefined;

  constructor(stream: Duplex, options: ConnectionOptions = {}) {
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 1000;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#channel = new FrameChannel(stream, messageLimit, {
      frame: (streamId, type, flags, body) => this.#receive(streamId, type, flags, body),
      oversized: (streamId, _type, length) => this.#refuse(streamId, length),
      closed: (reason) => {
        this.#finish(reason);
        resolve();
      },
    });
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const name = methodName(method);
      CallLimits.check(name, options);
      const frame = encodeCall(method, encodeMessage(method.input, request, name), options);
      const streamId = this.#reserve(name);
      const limits = CallLimits.watch(name, options, (error) => this.#settle(streamId, error));
      this.#calls.set(streamId, new UnaryCall(name, method.output, limits, resolve, reject));
      this.#channel.send(streamId, FrameType.request, 0, frame);
    });
  }

  /** Sends a stream of messages and waits for the one that answers them. */
  async clientStreaming<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    for await (const message of this.#exchange(method, requests, options)) return message;
    throw new TtrpcError('Internal', `Cannot call "${methodName(method)}": the server sent no answer`);
  }

  /** Sends one message and gives those that answer it. The call begins with the first `next()`. */
  serverStreaming<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): AsyncGenerator<MessageShape<O>, void> {
    return this.#exchange(method, request, options);
  }

  /** Sends a stream of messages and gives those that answer it. The call begins with the first `next()`. */
  bidiStreaming<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    options: CallOptions = {},
  ): AsyncGenerator<MessageShape<O>, void> {
    return this.#exchange(method, requests, options);
  }

  /** Ends the connection; calls that wait reject with Canceled. */
  async close(): Promise<void> {
    this.#channel.destroy();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    requests: MessageInitShape<I> | AsyncIterable<MessageInitShape<I>>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void> {
    const name = methodName(method);
    CallLimits.check(name, options);
    const outgoing = clientStreams(method) ? (requests as AsyncIterable<MessageInitShape<I>>) : undefined;
    const payload = outgoing ? undefined : encodeMessage(method.input, requests as MessageInitShape<I>, name);
    const frame = encodeCall(method, payload, options);
    const streamId = this.#reserve(name);
    const limits = CallLimits.watch(name, options, (error) => this.#settle(streamId, error));
    const inbox = new Inbox(this.#channel, this.#stallTimeoutMs, () => this.#settle(streamId, stalled(name)));
    const call = new StreamCall(method, inbox, limits);
    this.#calls.set(streamId, call);
    const flags = outgoing ? FrameFlag.remoteOpen : FrameFlag.remoteClosed;
    this.#channel.send(streamId, FrameType.request, flags, frame);
    const iterator = outgoing?.[Symbol.asyncIterator]();
    if (iterator) void this.#sendAll(streamId, call, method.input, iterator);
    try {
      for (let bytes = await inbox.take(); bytes !== undefined; bytes = await inbox.take())
        yield decodeMessage(method.output, bytes, name);
    } finally {
      this.#settle(
        streamId,
        new TtrpcError('Canceled', `Cannot call "${name}": its answers were left unread`),
      );
      // Not awaited: a source of requests that waits for something of its own must not hold up the call's end.
      iterator?.return?.().catch(() => {});
    }
  }

  async #sendAll<I extends DescMessage>(
    streamId: number,
    call: StreamCall,
    input: I,
    requests: AsyncIterator<MessageInitShape<I>>,
  ): Promise<void> {
    const isOpen = (): boolean => this.#calls.get(streamId) === call;
    try {
      for (let next = await requests.next(); !next.done && isOpen(); next = await requests.next()) {
        const frame = frameMessage(encodeMessage(input, next.value, call.name), call.name);
        if (!this.#channel.send(streamId, FrameType.data, 0, frame)) await this.#channel.drained();
      }
    } catch (error) {
      this.#settle(streamId, TtrpcError.from(error));
    }
    if (isOpen()) this.#sendEnd(streamId, call);
  }

  #sendEnd(streamId: number, call: StreamCall): void {
    call.sending = false;
    const flags = FrameFlag.remoteClosed | FrameFlag.noData;
    this.#channel.send(streamId, FrameType.data, flags, Buffer.allocUnsafe(frameHeaderLength));
  }

  #receive(streamId: number, type: number, flags: number, body: Buffer): void {
    const call = this.#calls.get(streamId);
    // The answer to a call that was given up, or to none: TTRPC has no way to complain about it.
    if (call === undefined) return;
    switch (type) {
      case FrameType.response:
        this.#calls.delete(streamId);
        receiveResponse(call, body);
        return;
      case FrameType.data:
        if (call.data(flags, plainBytes(body))) this.#calls.delete(streamId);
        return;
      case FrameType.request:
        this.#settle(
          streamId,
          new TtrpcError('Internal', `Cannot call "${call.name}": the server sent a request`),
        );
        return;
      // Any other type is of a later version of the protocol, and to be ignored.
    }
  }

  #refuse(streamId: number, length: number): void {
    const call = this.#calls.get(streamId);
    if (call)
      this.#settle(streamId, overLimit(`Cannot receive an answer of "${call.name}"`, length, messageLimit));
  }

  /** Ends a call from this side. */
  #settle(streamId: number, error: TtrpcError): void {
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    this.#calls.delete(streamId);
    if (call instanceof StreamCall && call.sending) this.#sendEnd(streamId, call);
    call.fail(error);
  }

  #finish(reason: Error | undefined): void {
    this.#over = { reason };
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.fail(connectionOver(call.name, reason));
  }

  #reserve(name: string): number {
    if (this.#over !== undefined) throw connectionOver(name, this.#over.reason);
    const streamId = this.#nextStreamId;
    if (streamId > lastStreamId)
      throw new TtrpcError(
        'Unavailable',
        `Cannot call "${name}": the connection has no stream ids left, open another`,
      );
    this.#nextStreamId += 2;
    return streamId;
  }
}

function receiveResponse(call: ClientCall, body: Buffer): void {
  let envelope: ResponseEnvelope;
  try {
    envelope = decodeResponse(body);
  } catch (cause) {
    const problem = 'the server sent an answer that cannot be read';
    call.fail(new TtrpcError('Internal', `Cannot call "${call.name}": ${problem}`, { cause }));
    return;
  }
  call.response(envelope);
}

function encodeCall(method: DescMethod, payload: Uint8Array | undefined, options: CallOptions): Buffer {
  const frame = encodeRequest(
    {
      service: method.parent.typeName,
      method: method.name,
      payload,
      timeoutNano: toTimeoutNano(options.timeoutMs),
      metadata: metadataToEntries(options.metadata),
    },
    frameHeaderLength,
  );
  assertWithinLimit(frame.length - frameHeaderLength, messageLimit, methodName(method));
  return frame;
}

function connectionOver(name: string, reason: Error | undefined): TtrpcError {
  if (reason === undefined)
    return new TtrpcError('Canceled', `Cannot call "${name}": the connection was closed on this side`);
  return new TtrpcError('Unavailable', `Cannot call "${name}": the connection is lost: ${reason.message}`, {
    cause: reason,
  });
}

function stalled(name: string): TtrpcError {
  return new TtrpcError('ResourceExhausted', `Cannot call "${name}": its answers were not read for too long`);
}
