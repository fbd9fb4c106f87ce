/** Messages that wait before reading from the connection stops. The number is that of containerd's TTRPC. */
const messageBound = 64;
/** Bytes that wait before reading from the connection stops: those of one message of the greatest size. */
const byteBound = 4 * 1024 * 1024;

/** Where the messages of a stream come from. */
export interface InboxSource {
  /** Stops everything that comes over the connection. */
  hold(): void;
  release(): void;
}

/**
 * Messages of one stream that have arrived and not been taken. TTRPC has no flow control of its own, so a full
 * inbox stops the whole connection; a consumer that leaves it full for the time of `stallTimeoutMs` loses its
 * stream, so that the connection's other calls can go on.
 */
export class Inbox {
  readonly #source: InboxSource;
  readonly #stallTimeoutMs: number;
  readonly #stalled: () => void;
  readonly #messages: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #error: Error | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(source: InboxSource, stallTimeoutMs: number, stalled: () => void) {
    this.#source = source;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#stalled = stalled;
  }

  /** Whether no message can come any more. */
  get ended(): boolean {
    return this.#ended;
  }

  push(message: Uint8Array): void {
    this.#messages.push(message);
    this.#bytes += message.length;
    if (this.#isFull() && this.#stallTimer === undefined) {
      this.#source.hold();
      this.#stallTimer = setTimeout(this.#stalled, this.#stallTimeoutMs);
    }
    this.#wake();
  }

  /** The sender has no more: what has arrived can still be taken, then comes the error, if there is one. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#release();
    this.#wake();
  }

  /** Throws away what has arrived; whoever takes gets the error. */
  abort(error: Error): void {
    this.#messages.length = 0;
    this.#bytes = 0;
    this.#ended = true;
    this.#error = error;
    this.#release();
    this.#wake();
  }

  /** The next message, undefined at the end. One taker at a time. */
  async take(): Promise<Uint8Array | undefined> {
    while (this.#messages.length === 0 && !this.#ended) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    const message = this.#messages.shift();
    if (message === undefined) {
      if (this.#error !== undefined) throw this.#error;
      return undefined;
    }
    this.#bytes -= message.length;
    if (!this.#isFull()) this.#release();
    return message;
  }

  #isFull(): boolean {
    return this.#messages.length >= messageBound || this.#bytes >= byteBound;
  }

  #release(): void {
    if (this.#stallTimer === undefined) return;
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
    this.#source.release();
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
