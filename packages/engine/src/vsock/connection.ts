import { Duplex } from 'node:stream';
import type { DescriptorChain } from './virtqueue.ts';

/** Bytes that are buffered here for each connection, told to the guest as its credit. */
export const receiveBufferSize = 256 << 10;
/** Well below the buffer, so that a reader is asked for more long before the credit has run out. */
const highWaterMark = 64 << 10;
/** An update of the credit is worth a packet when this much became free. */
const updateThreshold = receiveBufferSize >> 2;
/**
 * In bytes. Each chunk of a stream costs memory beside its bytes and may hold all of its slab of Buffer's pool (64 KiB),
 * which the credit does not count. So packets smaller than this are put together while a chunk before them waits to be read.
 * From this size on a chunk holds at most four times its bytes, and to copy it costs a fifth of the throughput.
 */
const smallPacket = 16 << 10;

export type ConnectionState = 'connecting' | 'open' | 'closed';

/** What a connection needs of the device. */
export interface ConnectionLink {
  /** There is something to send: `nextStep` tells. */
  wantsToSend(connection: VsockConnection): void;
  sendCreditUpdate(connection: VsockConnection): void;
  /** The device forgets the connection and, when asked to, tells the guest by a reset. */
  forget(connection: VsockConnection, reset: boolean): void;
}

/** What is to be sent next. `stalled`: there is data but the guest has no room. */
export type SendStep = 'data' | 'shutdown' | 'stalled' | 'none';

/**
 * One stream between a port of the host and a port of the guest, with the bookkeeping of the protocol's credit
 * (virtio 1.2, section 5.10.6.3): each side says how much it buffers and how much it has taken out, and
 * the other never has more than that under way. All counters run modulo 2^32.
 *
 * How it ends:
 * - `end()` tells the guest that no more comes; reading goes on.
 * - The guest's half-close is the end of the readable side; writing goes on.
 * - The guest's full close: what has arrived stays readable, then the stream closes. What is still to be
 *   written then fails with EPIPE.
 * - A reset by the guest, or the end of the device, is an error with code ECONNRESET.
 * - `destroy()` resets the connection. The guest reads that as an end, not as an error: an abort must be told otherwise.
 */
export class VsockConnection extends Duplex {
  readonly hostPort: number;
  readonly guestPort: number;
  readonly #link: ConnectionLink;
  /** The device's note that the connection is in its queue of senders. */
  queuedToSend = false;
  #state: ConnectionState;

  // The guest's buffer
  #guestBufferSize = 0;
  #guestForwarded = 0;
  #sent = 0;
  #creditAskedFor = false;
  /** The guest closed its side for receiving. */
  #guestReceives = true;

  // Our buffer
  #received = 0;
  /** Small packets, not in the stream's own buffer yet. There are none when that buffer is empty. */
  #gathered: Uint8Array | undefined;
  #gatheredLength = 0;
  /** The bytes that a reader asked for in vain: it asks again only when more is in the stream's own buffer. */
  #wanted = 0;
  #toldForwarded = 0;
  #updateQueued = false;
  /** The guest closed its side for sending. */
  #guestSends = true;

  // The write under way
  #chunks: Uint8Array[] = [];
  #chunk = 0;
  #offset = 0;
  #unsent = 0;
  #whenWritten: ((error?: Error | null) => void) | undefined;
  #whenFinal: ((error?: Error | null) => void) | undefined;

  constructor(link: ConnectionLink, hostPort: number, guestPort: number, state: 'connecting' | 'open') {
    super({ allowHalfOpen: true, highWaterMark });
    this.#link = link;
    this.hostPort = hostPort;
    this.guestPort = guestPort;
    this.#state = state;
    this.once('end', () => this.#readingEnded());
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** What the guest is told of our buffer, for the header of each packet. Sending it is taking note of it. */
  takeForwarded(): number {
    this.#toldForwarded = this.#forwarded();
    return this.#toldForwarded;
  }

  /** What the guest tells of its buffer, from the header of each packet. */
  setGuestCredit(bufferSize: number, forwarded: number): void {
    this.#guestBufferSize = bufferSize;
    this.#guestForwarded = forwarded;
    this.#creditAskedFor = false;
    if (this.#unsent > 0 && this.#credit() > 0) this.#link.wantsToSend(this);
  }

  /** The guest accepted. */
  opened(): void {
    this.#state = 'open';
  }

  /** The guest sent data. Returns false when it had no credit for it. */
  receive(data: Uint8Array): boolean {
    this.#received = (this.#received + data.length) >>> 0;
    if ((this.#received - this.#toldForwarded) >>> 0 > receiveBufferSize) return false;
    if (this.#guestSends && !this.destroyed) {
      if (data.length < smallPacket && this.readableLength > 0) this.#gather(data);
      else this.#pushInOrder(data);
      this.#updateCredit();
    }
    return true;
  }

  /** The guest wants to know its credit. */
  creditRequested(): void {
    this.#queueUpdate();
  }

  /** The update that was queued is on its way. */
  creditUpdateSent(): void {
    this.#updateQueued = false;
  }

  /** The guest will not receive or not send any more, or neither: then the connection is over for it. */
  shutDownByGuest(noReceive: boolean, noSend: boolean): void {
    if (noReceive) this.#guestReceives = false;
    if (noSend) this.#endOfData();
    if (!this.#guestReceives && !this.#guestSends) this.#close(true);
    if (!this.#guestReceives) this.#refuseWrites();
  }

  /** The guest, or whoever took it away, cut the connection. */
  cut(error: Error): void {
    const wasOpen = this.#state === 'open';
    this.#close(false);
    this.#guestReceives = false;
    // After both have said all they had to, a reset is but the end of the protocol.
    const complete = wasOpen && !this.#guestSends && this.#unsent === 0;
    if (complete) this.#refuseWrites();
    else this.destroy(error);
  }

  /** Notes that the guest is asked for its credit. Returns false when it was asked already and has not answered. */
  askForCredit(): boolean {
    if (this.#creditAskedFor) return false;
    this.#creditAskedFor = true;
    return true;
  }

  nextStep(): SendStep {
    if (this.#state !== 'open') return 'none';
    if (this.#unsent > 0) return this.#credit() > 0 ? 'data' : 'stalled';
    return this.#whenFinal !== undefined ? 'shutdown' : 'none';
  }

  /** How much may go into a packet with room for `capacity` bytes. */
  sendable(capacity: number): number {
    return Math.min(capacity, this.#unsent, this.#credit());
  }

  /** Puts the next `length` bytes into the guest's buffer. Returns true when the write under way is done. */
  send(chain: DescriptorChain, length: number): boolean {
    this.#sent = (this.#sent + length) >>> 0;
    this.#unsent -= length;
    for (let rest = length; rest > 0; ) {
      const chunk = this.#chunks[this.#chunk]!;
      const end = Math.min(chunk.length, this.#offset + rest);
      chain.write(chunk.subarray(this.#offset, end));
      rest -= end - this.#offset;
      this.#offset = end;
      if (end === chunk.length) {
        this.#chunk++;
        this.#offset = 0;
      }
    }
    return this.#unsent === 0;
  }

  /** Calls back for the write or the end that was sent. Runs the user's code. */
  written(): void {
    const done = this.#whenWritten ?? this.#whenFinal;
    if (this.#whenWritten === undefined) this.#whenFinal = undefined;
    this.#whenWritten = undefined;
    this.#chunks = [];
    done?.();
  }

  override read(size?: number): unknown {
    if (size !== undefined && size > this.readableLength) this.#pushGathered();
    const chunk = super.read(size);
    if (chunk !== null) {
      this.#wanted = 0;
      if (this.readableLength === 0) this.#pushGathered();
      this.#updateCredit();
    } else if (size !== undefined && size > 0) {
      this.#wanted = size;
    }
    return chunk;
  }

  override _read(): void {
    // The guest sends as far as its credit goes; `read` is where the credit grows.
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#startWrite([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error | null) => void): void {
    this.#startWrite(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#state === 'closed' || !this.#guestReceives) {
      done();
      return;
    }
    this.#whenFinal = done;
    this.#link.wantsToSend(this);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#close(true);
    const waiting = this.#whenWritten ?? this.#whenFinal;
    this.#whenWritten = this.#whenFinal = undefined;
    this.#chunks = [];
    this.#unsent = 0;
    this.#gathered = undefined;
    this.#gatheredLength = 0;
    if (waiting !== undefined) {
      process.nextTick(waiting, error ?? connectionError('ECONNRESET', this, 'it was destroyed'));
    }
    done(error);
  }

  #startWrite(chunks: Uint8Array[], done: (error?: Error | null) => void): void {
    this.#chunks = chunks.filter((chunk) => chunk.length > 0);
    this.#chunk = this.#offset = 0;
    this.#unsent = this.#chunks.reduce((total, chunk) => total + chunk.length, 0);
    if (this.#unsent === 0) {
      process.nextTick(done);
      return;
    }
    this.#whenWritten = done;
    if (this.#guestReceives) this.#link.wantsToSend(this);
    else this.#refuseWrites();
  }

  /** Nobody takes what is written. To say so destroys the stream, so it waits until all that arrived was read. */
  #refuseWrites(): void {
    if (this.readableEnded) this.#readingEnded();
    else if (this.#whenFinal !== undefined) process.nextTick(() => this.written());
  }

  #readingEnded(): void {
    if (this.#unsent > 0 && !this.#guestReceives) {
      this.destroy(connectionError('EPIPE', this, 'the guest does not receive any more'));
    } else if (this.#state === 'closed') {
      this.destroy();
    }
  }

  #endOfData(): void {
    if (!this.#guestSends) return;
    this.#guestSends = false;
    if (!this.destroyed) this.#pushInOrder(null);
  }

  #gather(data: Uint8Array): void {
    if (this.#gatheredLength + data.length > smallPacket) this.#pushGathered();
    this.#gathered ??= Buffer.allocUnsafeSlow(smallPacket);
    this.#gathered.set(data, this.#gatheredLength);
    this.#gatheredLength += data.length;
    if (this.readableLength + this.#gatheredLength >= this.#wanted && this.#wanted > 0) this.#pushGathered();
  }

  #pushGathered(): void {
    if (this.#gathered === undefined || this.destroyed) return;
    const gathered = this.#gathered.subarray(0, this.#gatheredLength);
    this.#gathered = undefined;
    this.#gatheredLength = 0;
    this.push(gathered);
  }

  /** What was gathered came before. */
  #pushInOrder(chunk: Uint8Array | null): void {
    this.#pushGathered();
    if (!this.destroyed) this.push(chunk);
  }

  #close(reset: boolean): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#link.forget(this, reset);
  }

  #credit(): number {
    const underWay = (this.#sent - this.#guestForwarded) >>> 0;
    return Math.max(0, this.#guestBufferSize - underWay);
  }

  #forwarded(): number {
    return (this.#received - this.readableLength - this.#gatheredLength) >>> 0;
  }

  #updateCredit(): void {
    if ((this.#forwarded() - this.#toldForwarded) >>> 0 >= updateThreshold) this.#queueUpdate();
  }

  #queueUpdate(): void {
    if (this.#updateQueued || this.#state !== 'open' || !this.#guestSends) return;
    this.#updateQueued = true;
    this.#link.sendCreditUpdate(this);
  }
}

/** An error of a socket, with a code as Node's own sockets have it. */
export function connectionError(
  code: 'ECONNRESET' | 'ECONNREFUSED' | 'EPIPE' | 'ETIMEDOUT' | 'ENODEV',
  ports: { readonly guestPort: number; readonly hostPort?: number },
  reason: string,
  options?: ErrorOptions,
): Error {
  const action =
    code === 'ECONNRESET' || code === 'EPIPE'
      ? `exchange data between vsock port ${ports.hostPort} of the host and ${ports.guestPort} of the guest`
      : `connect to vsock port ${ports.guestPort} of the guest`;
  return Object.assign(new Error(`Cannot ${action}: ${reason}`, options), { code });
}

/**
 * An error between the moment that a stream is handed out and the moment that its receiver has added a handler would be
 * uncaught. Keeps it quiet for one turn of the loop; the receiver then finds the stream destroyed.
 */
export function keepQuietUntilTaken(stream: Duplex): void {
  const ignore = () => {};
  stream.on('error', ignore);
  setImmediate(() => stream.off('error', ignore));
}
