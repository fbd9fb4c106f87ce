import type { Duplex } from 'node:stream';
import type { DescMethod } from '@bufbuild/protobuf';
import { startTimer } from './deadline.ts';
import { decodeRequest, encodeResponse, type RequestEnvelope } from './envelope.ts';
import { TtrpcError } from './error.ts';
import { plainBytes } from './fields.ts';
import { FrameFlag, FrameType, frameHeaderLength } from './frame.ts';
import { FrameChannel } from './frame-channel.ts';
import { Inbox } from './inbox.ts';
import { messageLimit, overLimit } from './limit.ts';
import { decodeMessage, encodeMessage, frameMessage } from './message.ts';
import { metadataFromEntries } from './metadata.ts';
import { clientStreams, methodName, serverStreams } from './method.ts';
import { ServerCall } from './server-call.ts';
import type { ServedMethod, ServiceTable } from './service.ts';

export interface ServerConnectionOptions {
  services: ServiceTable;
  stallTimeoutMs: number;
  maxConcurrentCalls: number;
  /** The connection is closed and the last of its handlers has returned. */
  done: (connection: ServerConnection) => void;
}

/** The server's end of one connection: takes requests to their handlers and the answers back. */
export class ServerConnection {
  readonly #channel: FrameChannel;
  readonly #options: ServerConnectionOptions;
  /** Calls that wait for their answer. */
  readonly #calls = new Map<number, ServerCall>();
  /** Handlers that have not returned, those of calls that were aborted included. */
  #handlers = 0;
  #lastStreamId = 0;
  #draining = false;
  /** Reading is stopped since the peer does not take its answers. */
  #blocked = false;

  constructor(stream: Duplex, options: ServerConnectionOptions) {
    this.#options = options;
    this.#channel = new FrameChannel(stream, messageLimit, {
      frame: (streamId, type, flags, body) => this.#receive(streamId, type, flags, body),
      oversized: (streamId, _type, length) =>
        this.#fail(
          streamId,
          overLimit(`Cannot receive a message on stream ${streamId}`, length, messageLimit),
        ),
      closed: (reason) => this.#closed(reason),
    });
  }

  /** Takes no more calls; closes the connection when those that run have been answered. */
  drain(): void {
    this.#draining = true;
    this.#endIfDrained();
  }

  /** Closes the connection now and aborts its calls. */
  close(): void {
    this.#channel.destroy();
  }

  #receive(streamId: number, type: number, flags: number, body: Buffer): void {
    if (!this.#channel.isOpen) return;
    try {
      if (type === FrameType.request) this.#request(streamId, flags, body);
      else if (type === FrameType.data) this.#data(streamId, flags, body);
      // Any other type is of a later version of the protocol, and to be ignored.
    } catch (error) {
      this.#fail(streamId, TtrpcError.from(error));
    }
  }

  #request(streamId: number, flags: number, body: Buffer): void {
    this.#checkStreamId(streamId);
    this.#lastStreamId = streamId;
    const request = readRequest(body);
    const method = this.#options.services.find(request.service, request.method);
    const name = methodName(method.descriptor);
    if (this.#draining)
      throw new TtrpcError('Unavailable', `Cannot call "${name}": the server is shutting down`);
    if (this.#handlers >= this.#options.maxConcurrentCalls)
      throw new TtrpcError(
        'ResourceExhausted',
        `Cannot call "${name}": ${this.#handlers} calls are running on this connection already`,
      );
    const call = new ServerCall(streamId, name, metadataFromEntries(request.metadata), this.#channel.stream);
    this.#setDeadline(call, request.timeoutNano);
    this.#calls.set(streamId, call);
    if (clientStreams(method.descriptor)) this.#openInbox(call, flags, request.payload);
    this.#handlers++;
    if (serverStreams(method.descriptor)) void this.#runStream(call, method, request.payload);
    else this.#runSingle(call, method, request.payload);
  }

  #checkStreamId(streamId: number): void {
    if (streamId % 2 === 0)
      throw new TtrpcError(
        'InvalidArgument',
        `Cannot start stream ${streamId}: a client's stream ids are odd`,
      );
    if (streamId <= this.#lastStreamId)
      throw new TtrpcError(
        'InvalidArgument',
        `Cannot start stream ${streamId}: stream ids rise, the last was ${this.#lastStreamId}`,
      );
  }

  #setDeadline(call: ServerCall, timeoutNano: bigint): void {
    if (timeoutNano === 0n) return;
    const problem = `Cannot call "${call.name}": its time is up`;
    if (timeoutNano < 0n) throw new TtrpcError('DeadlineExceeded', problem);
    // Up to the next millisecond: a timer that runs early would take from a call what its client granted.
    call.timer = startTimer(Math.ceil(Number(timeoutNano) / 1e6), () =>
      this.#fail(call.streamId, new TtrpcError('DeadlineExceeded', problem)),
    );
  }

  #openInbox(call: ServerCall, flags: number, first: Uint8Array | undefined): void {
    call.inbox = new Inbox(this.#channel, this.#options.stallTimeoutMs, () =>
      this.#fail(
        call.streamId,
        new TtrpcError(
          'ResourceExhausted',
          `Cannot call "${call.name}": its requests were not read for too long`,
        ),
      ),
    );
    if (first !== undefined) call.inbox.push(first);
    if ((flags & FrameFlag.remoteOpen) === 0) call.inbox.end();
  }

  #data(streamId: number, flags: number, body: Buffer): void {
    const call = this.#calls.get(streamId);
    if (call === undefined)
      throw new TtrpcError('InvalidArgument', `Cannot send on stream ${streamId}: it is not open`);
    const hasMessage = (flags & FrameFlag.noData) === 0;
    if (hasMessage && call.inbox === undefined)
      throw new TtrpcError('InvalidArgument', `Cannot send on stream ${streamId}: it takes one request`);
    if (hasMessage && call.inbox?.ended)
      throw new TtrpcError('InvalidArgument', `Cannot send on stream ${streamId}: its sender has closed it`);
    if (hasMessage) call.inbox?.push(plainBytes(body));
    if (flags & FrameFlag.remoteClosed) call.inbox?.end();
  }

  /** Runs a handler that gives one answer. Nothing is awaited for a handler that gives it at once. */
  #runSingle(call: ServerCall, method: ServedMethod, payload: Uint8Array | undefined): void {
    const { descriptor, handler } = method;
    let answer: unknown;
    try {
      answer = handler(readInput(call, descriptor, payload), call);
    } catch (error) {
      this.#returned(call, TtrpcError.from(error));
      return;
    }
    if (isThenable(answer))
      answer.then(
        (value) => this.#answer(call, descriptor, value),
        (error) => this.#returned(call, TtrpcError.from(error)),
      );
    else this.#answer(call, descriptor, answer);
  }

  #answer(call: ServerCall, { output }: DescMethod, answer: unknown): void {
    if (!call.isOpen) {
      this.#returned(call);
      return;
    }
    try {
      const payload = encodeMessage(output, answer as Record<string, unknown> | undefined, call.name);
      const frame = encodeResponse({ status: undefined, payload }, frameHeaderLength);
      const length = frame.length - frameHeaderLength;
      if (length > messageLimit)
        throw overLimit(`Cannot send the answer of "${call.name}"`, length, messageLimit);
      this.#send(call.streamId, FrameType.response, 0, frame);
      this.#returned(call);
    } catch (error) {
      this.#returned(call, TtrpcError.from(error));
    }
  }

  /** Runs a handler that gives a stream of answers. Its generator is closed when the call ends before it. */
  async #runStream(call: ServerCall, method: ServedMethod, payload: Uint8Array | undefined): Promise<void> {
    const { descriptor, handler } = method;
    try {
      const answers = handler(readInput(call, descriptor, payload), call) as AsyncIterable<
        Record<string, unknown>
      >;
      for await (const answer of answers) {
        if (!call.isOpen) break;
        const frame = frameMessage(encodeMessage(descriptor.output, answer, call.name), call.name);
        if (!this.#send(call.streamId, FrameType.data, 0, frame)) await this.#channel.drained();
        if (!call.isOpen) break;
      }
      if (call.isOpen) {
        const flags = FrameFlag.remoteClosed | FrameFlag.noData;
        this.#send(call.streamId, FrameType.data, flags, Buffer.allocUnsafe(frameHeaderLength));
      }
      this.#returned(call);
    } catch (error) {
      this.#returned(call, TtrpcError.from(error));
    }
  }

  /** A handler is through; what it threw, if its call still waits for an answer, is the answer. */
  #returned(call: ServerCall, error?: TtrpcError): void {
    if (call.isOpen) {
      this.#calls.delete(call.streamId);
      if (error) this.#sendError(call.streamId, error);
      call.answered();
    }
    this.#handlers--;
    this.#endIfDrained();
  }

  /** Answers a stream with an error before its handler has returned, if there is one. */
  #fail(streamId: number, error: TtrpcError): void {
    if (!this.#channel.isOpen) return;
    const call = this.#calls.get(streamId);
    this.#calls.delete(streamId);
    this.#sendError(streamId, error);
    call?.abort(error);
  }

  #sendError(streamId: number, error: TtrpcError): void {
    const { status: code, message, details } = error;
    let frame = encodeResponse({ status: { code, message, details }, payload: undefined }, frameHeaderLength);
    if (frame.length - frameHeaderLength > messageLimit) {
      const short = { code, message: `${message.slice(0, 1024)}…`, details: [] };
      frame = encodeResponse({ status: short, payload: undefined }, frameHeaderLength);
    }
    this.#send(streamId, FrameType.response, 0, frame);
  }

  /** Sends; reads no more requests while the peer does not take its answers. Returns false until it does. */
  #send(streamId: number, type: number, flags: number, frame: Buffer): boolean {
    if (this.#channel.send(streamId, type, flags, frame)) return true;
    if (!this.#blocked) {
      this.#blocked = true;
      this.#channel.hold();
      void this.#channel.drained().then(() => {
        this.#blocked = false;
        this.#channel.release();
      });
    }
    return false;
  }

  #endIfDrained(): void {
    if (this.#handlers > 0) return;
    if (!this.#channel.isOpen) this.#options.done(this);
    else if (this.#draining) this.#channel.end();
  }

  #closed(reason: Error | undefined): void {
    const problem = reason ? `the connection is lost: ${reason.message}` : 'the server was closed';
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls)
      call.abort(
        new TtrpcError('Canceled', `Cannot answer "${call.name}": ${problem}`, reason && { cause: reason }),
      );
    this.#endIfDrained();
  }
}

function readRequest(body: Buffer): RequestEnvelope {
  try {
    return decodeRequest(body);
  } catch (cause) {
    throw new TtrpcError('InvalidArgument', `Cannot read a request: ${(cause as Error).message}`, { cause });
  }
}

/** What the handler is given: the one request, or those of a stream as they come. */
function readInput(call: ServerCall, { input }: DescMethod, payload: Uint8Array | undefined): unknown {
  return call.inbox ? readStream(call, call.inbox, input) : decodeMessage(input, payload, call.name);
}

async function* readStream(call: ServerCall, inbox: Inbox, input: DescMethod['input']): AsyncGenerator {
  for (let bytes = await inbox.take(); bytes !== undefined; bytes = await inbox.take())
    yield decodeMessage(input, bytes, call.name);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
