import type { Duplex } from 'node:stream';
import { FrameDecoder, type FrameSink, frameHeaderLength, writeFrameHeader } from './frame.ts';

/** One end of a connection, told of frames and, once, of the end. */
export interface FrameChannelUser extends FrameSink {
  /** The connection is over: with the reason when the peer or the stream ended it, without when `destroy` did. */
  closed(reason: Error | undefined): void;
}

/**
 * Frames that leave in one write at most. Fewer writes cost less, but the peer of a long one waits with nothing
 * to do: with 16 callers on two cores, 4 give half as many calls per second again as writing all at once.
 */
const framesPerWrite = 4;

/**
 * Frames over a duplex stream. What is sent within one turn of the event loop leaves in few writes. A peer that
 * ends its side, even only its sending side, is taken to be gone, as containerd's TTRPC takes it.
 */
export class FrameChannel {
  readonly stream: Duplex;
  readonly #user: FrameChannelUser;
  readonly #decoder: FrameDecoder;
  #open = true;
  #corked = false;
  /** Since the last write, in this turn. */
  #gathered = 0;
  #holds = 0;
  #drained: PromiseWithResolvers<void> | undefined;
  readonly #flush = (): void => {
    this.#corked = false;
    this.#gathered = 0;
    this.stream.uncork();
  };

  constructor(stream: Duplex, limit: number, user: FrameChannelUser) {
    this.stream = stream;
    this.#user = user;
    this.#decoder = new FrameDecoder(user, limit);
    stream.on('data', (chunk: Uint8Array) => {
      if (this.#open) this.#decoder.push(toBuffer(chunk));
    });
    stream.once('end', () => this.#close(new Error(this.#endReason())));
    stream.on('error', (error) => this.#close(error));
    stream.once('close', () => this.#close(new Error('the connection was closed')));
    stream.on('drain', () => this.#settleDrained());
    if (stream.destroyed || stream.readableEnded)
      process.nextTick(() => this.#close(new Error('the connection was closed')));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Sends a message that has room for the frame's header before it. Returns false when `drained` should be awaited. */
  send(streamId: number, type: number, flags: number, message: Buffer): boolean {
    if (!this.#open || this.stream.writableEnded) return true;
    writeFrameHeader(message, message.length - frameHeaderLength, streamId, type, flags);
    if (!this.#corked) {
      this.#corked = true;
      this.stream.cork();
      process.nextTick(this.#flush);
    }
    const taken = this.stream.write(message);
    if (++this.#gathered === framesPerWrite) {
      this.#gathered = 0;
      this.stream.uncork();
      this.stream.cork();
    }
    return taken;
  }

  /** Resolves when the peer has taken enough for more to be sent, and when the connection is over. */
  drained(): Promise<void> {
    if (!this.#open || !this.stream.writableNeedDrain) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  /** Stops reading until `release` has been called as often. */
  hold(): void {
    if (this.#holds++ === 0) this.stream.pause();
  }

  release(): void {
    if (--this.#holds === 0) this.stream.resume();
  }

  /** Closes the connection when all that was sent has left, however long the peer takes. */
  end(): void {
    if (!this.#open || this.stream.writableEnded) return;
    this.stream.end(() => this.destroy());
  }

  /** Closes the connection now. */
  destroy(): void {
    this.#close(undefined);
  }

  #endReason(): string {
    return this.#decoder.atBoundary ? 'the peer closed it' : 'the peer closed it in the middle of a frame';
  }

  #close(reason: Error | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.stream.destroy();
    this.#settleDrained();
    this.#user.closed(reason);
  }

  #settleDrained(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}

function toBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
