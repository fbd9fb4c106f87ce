import { constants } from 'node:os';
import { checked, closeFd, lastErrno, libc } from '../libc.ts';
import { SystemCallError } from '../system-call-error.ts';
import {
  AnswerFlag,
  attributesAfter,
  decodeMessages,
  encodeMessage,
  headerSize,
  NetlinkFlag,
  NetlinkFormatError,
  type NetlinkMessage,
  readText,
  viewOf,
} from './netlink-message.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;
/** `struct sockaddr_nl`: family, padding, port id, groups. */
const sockaddrSize = 12;

const NLMSG_NOOP = 1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;

/** What a datagram may hold: the kernel fills at most 32 KiB with the answers to a dump. In bytes. */
const receiveCapacity = 256 * 1024;
/** What a socket sends at once without being told to take more: a part of `net.core.wmem_default`. In bytes. */
const usualRequest = 64 * 1024;
const usualRequests = 64;
/** What a refusal takes of a socket's memory, with the request in it. In bytes. */
const refusalSize = 2048;
/** Of all answers to one request. */
const mostAnswers = 65_536;
/** How long the answers to one request may take, which the kernel gives at once. In milliseconds. */
const answerTimeout = 10_000;
/** How often a list is asked for again that has changed while it was read. */
const dumpAttempts = 8;

export const NetlinkProtocol = { route: 0, netfilter: 12 } as const;

export interface NetlinkRequest {
  readonly type: number;
  /** Besides those that every request has. @default 0 */
  readonly flags?: number;
  readonly payload: Uint8Array;
  /** What is being done and to what, to follow "Cannot". */
  readonly action: string;
  /** The name of the type, for errors: `RTM_NEWLINK`. */
  readonly name: string;
}

let buffer: Uint8Array | undefined;

/**
 * A socket to the kernel's part of netlink in the network namespace that this thread is in when it is opened; it
 * stays there, wherever the thread goes. Each exchange is synchronous: the kernel has answered before `send`
 * returns, so the thread waits for nobody, and {@link answerTimeout} is for what should not happen.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static open(protocol: keyof typeof NetlinkProtocol): NetlinkSocket {
    const action = `open a netlink socket for ${protocol}`;
    const { socket, setsockopt } = libc();
    const fd = checked(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NetlinkProtocol[protocol]),
      'socket',
      action,
    );
    try {
      const timeout = Buffer.alloc(16);
      timeout.writeBigInt64LE(BigInt(answerTimeout / 1000));
      checked(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length), 'setsockopt', action);
      // Without it a refusal has a number and no words; kernels before 4.12 do not know it.
      setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, Buffer.from([1, 0, 0, 0]), 4);
      return new NetlinkSocket(fd);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }

  /** Has one request carried out. Throws a SystemCallError with the kernel's words when it is refused. */
  request(request: NetlinkRequest): void {
    this.transact([request]);
  }

  /**
   * Sends requests in one datagram and waits until each is carried out. Those without `acknowledge` (the frame of
   * an nfnetlink batch) are not waited for, but may be refused too.
   */
  transact(requests: readonly (NetlinkRequest & { acknowledge?: boolean })[]): void {
    const bySequence = new Map<number, NetlinkRequest>();
    const waiting = new Set<number>();
    const bytes = requests.map((request) => {
      const sequence = ++this.#sequence;
      bySequence.set(sequence, request);
      const { acknowledge = true } = request;
      if (acknowledge) waiting.add(sequence);
      return this.#encode(request, sequence, acknowledge ? NetlinkFlag.acknowledge : 0);
    });
    const action = requests[0]?.action ?? 'send nothing';
    // Each may be refused, which is told of each.
    if (requests.length > usualRequests) this.#setCapacity(SO_RCVBUFFORCE, requests.length * refusalSize);
    this.#send(Buffer.concat(bytes), action);
    this.#receive(action, (message) => {
      const request = bySequence.get(message.sequence);
      if (request === undefined || message.type !== NLMSG_ERROR) return false;
      throwIfRefused(message, request);
      waiting.delete(message.sequence);
      return waiting.size === 0;
    });
  }

  /** The messages of a list. One that has changed while it was read is read again. */
  dump(request: NetlinkRequest): NetlinkMessage[] {
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const messages = this.#dumpOnce(request);
      if (messages !== undefined) return messages;
    }
    throw new SystemCallError(request.name, constants.errno.EINTR, request.action);
  }

  #dumpOnce(request: NetlinkRequest): NetlinkMessage[] | undefined {
    const sequence = ++this.#sequence;
    this.#send(this.#encode(request, sequence, NetlinkFlag.dump), request.action);
    const messages: NetlinkMessage[] = [];
    let isConsistent = true;
    this.#receive(request.action, (message) => {
      if (message.sequence !== sequence) return false;
      if (message.flags & NetlinkFlag.dumpInterrupted) isConsistent = false;
      if (message.type === NLMSG_DONE) return true;
      if (message.type === NLMSG_ERROR) {
        throwIfRefused(message, request);
        return true;
      }
      if (message.type !== NLMSG_NOOP) messages.push(message);
      return false;
    });
    return isConsistent ? messages : undefined;
  }

  #setCapacity(option: number, capacity: number): void {
    const value = Buffer.alloc(4);
    value.writeInt32LE(capacity);
    libc().setsockopt(this.#fd, SOL_SOCKET, option, value, value.length);
  }

  #encode({ type, flags = 0, payload }: NetlinkRequest, sequence: number, more: number): Uint8Array {
    return encodeMessage({ type, flags: flags | more | NetlinkFlag.request, sequence, payload });
  }

  #send(bytes: Uint8Array, action: string): void {
    // Without the right to it the datagram is refused, as it would be by itself.
    if (bytes.length > usualRequest) this.#setCapacity(SO_SNDBUFFORCE, 2 * bytes.length);
    // A datagram goes as a whole or not at all.
    for (;;) {
      const sent = libc().send(this.#fd, bytes, BigInt(bytes.length), 0);
      if (sent !== -1n) return;
      const errno = lastErrno();
      if (errno !== constants.errno.EINTR) throw new SystemCallError('send', errno, action);
    }
  }

  /** Hands answers over until one is the last. */
  #receive(action: string, isLast: (message: NetlinkMessage) => boolean): void {
    const deadline = performance.now() + answerTimeout;
    for (let count = 0; count <= mostAnswers; ) {
      const bytes = this.#receiveDatagram(action, deadline);
      for (const message of bytes === undefined ? [] : decodeMessages(bytes)) {
        if (isLast(message)) return;
        count++;
      }
    }
    throw new NetlinkFormatError(`more than ${mostAnswers} answers`, action);
  }

  /** One datagram of the kernel's; undefined for another sender's. */
  #receiveDatagram(action: string, deadline: number): Uint8Array | undefined {
    buffer ??= new Uint8Array(receiveCapacity);
    const sender = Buffer.alloc(sockaddrSize);
    const senderSize = Buffer.from([sockaddrSize, 0, 0, 0]);
    for (;;) {
      const length = libc().recvfrom(this.#fd, buffer, BigInt(buffer.length), MSG_TRUNC, sender, senderSize);
      if (length === -1n) {
        const errno = lastErrno();
        if (errno === constants.errno.EINTR && performance.now() < deadline) continue;
        throw new SystemCallError('recvfrom', errno, action);
      }
      if (length > receiveCapacity) throw new NetlinkFormatError(`an answer of ${length} bytes`, action);
      const isFromKernel = sender.readUInt32LE(4) === 0;
      // What is handed out outlives the next answer.
      return isFromKernel ? buffer.slice(0, Number(length)) : undefined;
    }
  }
}

/** `struct nlmsgerr`: a negative errno or 0, the header of the request, then the rest of it or words. */
function throwIfRefused({ payload, flags }: NetlinkMessage, { name, action }: NetlinkRequest): void {
  if (payload.length < 4 + headerSize) throw new NetlinkFormatError('the answer is cut off', action);
  const view = viewOf(payload);
  const error = view.getInt32(0, true);
  if (error === 0) return;
  throw new SystemCallError(name, -error, action, wordsIn(payload, flags));
}

function wordsIn(payload: Uint8Array, flags: number): string | undefined {
  if (!(flags & AnswerFlag.hasAttributes)) return undefined;
  const requestLength = flags & AnswerFlag.capped ? headerSize : viewOf(payload).getUint32(4, true);
  try {
    return readText(attributesAfter(payload, 4 + ((requestLength + 3) & ~3)).get(NLMSGERR_ATTR_MSG));
  } catch {
    // The number alone tells enough.
    return undefined;
  }
}
