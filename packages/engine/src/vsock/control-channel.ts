import { closeFd, FdWatcher, receiveFds, SystemCallError, sendFds } from '@hcsshim/linux';
import { DeviceFault } from './device-fault.ts';
import {
  decodeMessageHeader,
  decodeRequest,
  encodeReply,
  maxMessagePayload,
  messageHeaderSize,
  type VhostUserRequest,
} from './vhost-user.ts';

/** One request of the monitor. */
export interface IncomingRequest {
  readonly number: number;
  /** Undefined when this device does not know the number. */
  readonly request: VhostUserRequest | undefined;
  readonly needsReply: boolean;
  /** Came along with it; closed after the call unless the handler takes them out of the array. */
  readonly fds: number[];
}

export interface ControlChannelEvents {
  onRequest(request: IncomingRequest): void;
  /** The monitor is gone (no error), or what it sent made no sense. Called once. */
  onEnd(error?: Error): void;
}

/** The unix socket between the monitor and the device: whole messages, one at a time, with their descriptors. */
export class ControlChannel {
  readonly #fd: number;
  readonly #events: ControlChannelEvents;
  readonly #watcher: FdWatcher;
  readonly #message = new Uint8Array(messageHeaderSize + maxMessagePayload);
  #length = 0;
  #fds: number[] = [];
  #closed: Promise<void> | undefined;

  /** Takes over `fd`, a non-blocking connected socket. */
  constructor(fd: number, events: ControlChannelEvents) {
    this.#fd = fd;
    this.#events = events;
    this.#watcher = new FdWatcher(fd, () => this.#receive());
    this.#watcher.start();
  }

  reply(request: number, payload: Uint8Array): void {
    const bytes = encodeReply(request, payload);
    if (sendFds(this.#fd, bytes, []) !== bytes.length) {
      throw new DeviceFault('The monitor does not read the replies to its vhost-user messages');
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const fd of this.#fds.splice(0)) closeFd(fd);
    await this.#watcher.close();
    closeFd(this.#fd);
  }

  #receive(): void {
    let fault: Error | undefined;
    try {
      for (;;) {
        const outcome = this.#receiveSome();
        if (outcome === 'nothing yet') return;
        if (outcome === 'end') break;
        this.#dispatchWhole();
        if (this.#closed !== undefined) return;
      }
    } catch (error) {
      fault = error as Error;
    }
    this.#events.onEnd(fault);
  }

  /** Reads no further than the end of the current message: descriptors belong to the message they came with. */
  #receiveSome(): 'some' | 'nothing yet' | 'end' {
    const wanted = this.#wantedLength();
    try {
      const { length, fds } = receiveFds(this.#fd, this.#message.subarray(this.#length, wanted));
      this.#fds.push(...fds);
      this.#length += length;
      return length > 0 ? 'some' : 'end';
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (error.code === 'EAGAIN') return 'nothing yet';
      if (error.code === 'ECONNRESET') return 'end';
      throw error;
    }
  }

  #wantedLength(): number {
    if (this.#length < messageHeaderSize) return messageHeaderSize;
    return messageHeaderSize + decodeMessageHeader(this.#message).size;
  }

  #dispatchWhole(): void {
    if (this.#length < messageHeaderSize || this.#length < this.#wantedLength()) return;
    const { request: number, needsReply } = decodeMessageHeader(this.#message);
    const payload = this.#message.slice(messageHeaderSize, this.#length);
    const fds = this.#fds;
    this.#fds = [];
    this.#length = 0;
    try {
      this.#events.onRequest({ number, request: decodeRequest(number, payload), needsReply, fds });
    } finally {
      for (const fd of fds) closeFd(fd);
    }
  }
}
