import {
  closeFd,
  connectUnix,
  createEventFd,
  createMemfd,
  drainEventFd,
  FdWatcher,
  MemoryMap,
  receiveFds,
  sendFds,
  signalEventFd,
  waitUntilReady,
} from '@hcsshim/linux';
import { decodePacketHeader, encodePacketHeader, type PacketHeader, packetHeaderSize } from '../packet.ts';

const ringSize = 128;
/** Where the "guest" believes its memory to be, and where the "monitor" has it mapped. */
export const guestBase = 0x1000_0000;
const userBase = 0x7f00_0000_0000;
const memorySize = 16 << 20;
/** One page for each ring's three parts, then the buffers. */
const ringPage = 0x4000;
const buffersAt = 0x10_0000;
const bufferSize = packetHeaderSize + 4096;
const transmitSlot = packetHeaderSize + (64 << 10);

export const receiveRing = 0;
export const transmitRing = 1;

export interface Descriptor {
  address: number;
  length: number;
  flags: number;
  next: number;
}

export interface GuestPacket {
  header: PacketHeader;
  data: Buffer;
}

/**
 * What QEMU and the driver of a guest do together, without either: connects to a vhost-user-vsock device, shares memory
 * with it, drives its rings. Honest by default; everything in the rings can be bent for hostile tests.
 */
export class FakeFrontEnd implements AsyncDisposable {
  readonly memory: Buffer;
  readonly view: DataView;
  readonly #socket: number;
  readonly #memoryFd: number;
  readonly #map: MemoryMap;
  readonly #kicks = [createEventFd(), createEventFd()];
  readonly #calls = [createEventFd(), createEventFd()];
  readonly #callWatchers: FdWatcher[];
  #disposed = false;
  readonly #usedSeen = [0, 0];
  #freeSlots = Array.from({ length: ringSize / 2 }, (_, slot) => slot * 2);
  /** Called for each packet that arrives. */
  onPacket: (packet: GuestPacket) => void = () => {};
  /** Called when buffers of the transmit ring came back. */
  onTransmitted: () => void = () => {};
  /** Whether buffers that arrived full are given again. */
  repost = true;

  static async connect(path: string, options: { receiveBuffers?: number } = {}): Promise<FakeFrontEnd> {
    const frontEnd = new FakeFrontEnd(await connectUnix(path));
    await frontEnd.handshake();
    frontEnd.#postBuffers(options.receiveBuffers ?? ringSize);
    return frontEnd;
  }

  constructor(socket: number) {
    this.#socket = socket;
    this.#memoryFd = createMemfd('guest', memorySize);
    this.#map = new MemoryMap(this.#memoryFd, { length: memorySize });
    this.memory = Buffer.from(this.#map.buffer);
    this.view = new DataView(this.#map.buffer);
    this.#callWatchers = this.#calls.map(
      (call) =>
        new FdWatcher(call, () => {
          drainEventFd(call);
          this.collect();
        }),
    );
  }

  // The monitor

  /** Sends one message; returns the payload of the answer if it has one. */
  async request(
    number: number,
    payload: Uint8Array,
    options: { fds?: number[]; replies?: boolean } = {},
  ): Promise<Buffer> {
    const acknowledge = options.replies ? 0 : 8;
    const message = Buffer.alloc(12 + payload.length);
    message.writeUInt32LE(number, 0);
    message.writeUInt32LE(1 | acknowledge, 4);
    message.writeUInt32LE(payload.length, 8);
    message.set(payload, 12);
    sendFds(this.#socket, message, options.fds ?? []);
    const answer = Buffer.alloc(4096);
    await waitUntilReady(this.#socket, 'readable');
    const { length } = receiveFds(this.#socket, answer);
    if (length === 0) throw Object.assign(new Error('the device hung up'), { code: 'EPIPE' });
    return answer.subarray(12, length);
  }

  async handshake(): Promise<void> {
    const none = new Uint8Array();
    await this.request(15, none, { replies: true });
    await this.request(16, u64((1n << 3n) | (1n << 9n)));
    await this.request(1, none, { replies: true });
    await this.request(2, u64((1n << 30n) | (1n << 32n)));
    await this.shareMemory();
    for (const ring of [receiveRing, transmitRing]) await this.startRing(ring, 0);
    for (const watcher of this.#callWatchers) watcher.start();
  }

  async shareMemory(): Promise<void> {
    const table = Buffer.alloc(8 + 32);
    table.writeUInt32LE(1, 0);
    table.writeBigUInt64LE(BigInt(guestBase), 8);
    table.writeBigUInt64LE(BigInt(memorySize), 16);
    table.writeBigUInt64LE(BigInt(userBase), 24);
    await this.request(5, table, { fds: [this.#memoryFd] });
  }

  async startRing(ring: number, base: number): Promise<void> {
    await this.request(8, pair(ring, ringSize));
    await this.request(10, pair(ring, base));
    const addresses = Buffer.alloc(40);
    addresses.writeUInt32LE(ring, 0);
    addresses.writeBigUInt64LE(BigInt(userBase + this.#table(ring)), 8);
    addresses.writeBigUInt64LE(BigInt(userBase + this.#used(ring)), 16);
    addresses.writeBigUInt64LE(BigInt(userBase + this.#available(ring)), 24);
    await this.request(9, addresses);
    await this.request(12, u64(BigInt(ring)), { fds: [this.#kicks[ring]!] });
    await this.request(13, u64(BigInt(ring)), { fds: [this.#calls[ring]!] });
    await this.request(18, pair(ring, 1));
  }

  /** Stops a ring as QEMU does when the VM pauses or the driver resets. Returns its base. */
  async stopRing(ring: number): Promise<number> {
    return (await this.request(11, pair(ring, 0), { replies: true })).readUInt32LE(4);
  }

  // The driver

  writeDescriptor(ring: number, index: number, { address, length, flags, next }: Descriptor): void {
    const at = this.#table(ring) + index * 16;
    this.view.setBigUint64(at, BigInt(address), true);
    this.view.setUint32(at + 8, length, true);
    this.view.setUint16(at + 12, flags, true);
    this.view.setUint16(at + 14, next, true);
  }

  /** Gives the chain that begins at `head` to the device. */
  publish(ring: number, head: number): void {
    const index = this.view.getUint16(this.#available(ring) + 2, true);
    this.view.setUint16(this.#available(ring) + 4 + (index % ringSize) * 2, head, true);
    this.setAvailableIndex(ring, index + 1);
  }

  setAvailableIndex(ring: number, index: number): void {
    this.view.setUint16(this.#available(ring) + 2, index & 0xffff, true);
  }

  kick(ring: number): void {
    signalEventFd(this.#kicks[ring]!);
  }

  /** Whether a packet can be sent now. */
  get canTransmit(): boolean {
    if (this.#freeSlots.length === 0) this.#collectTransmitted();
    return this.#freeSlots.length > 0;
  }

  /** Sends a packet: one descriptor for the header, one for the data. */
  transmit(header: PacketHeader, data: Uint8Array = new Uint8Array()): void {
    if (!this.canTransmit) throw new Error('the transmit ring is full');
    const slot = this.#freeSlots.shift()!;
    const at = buffersAt + ringSize * bufferSize + (slot / 2) * transmitSlot;
    encodePacketHeader(new DataView(this.#map.buffer, at, packetHeaderSize), header);
    this.memory.set(data, at + packetHeaderSize);
    const flags = data.length > 0 ? 1 : 0;
    this.writeDescriptor(transmitRing, slot, {
      address: guestBase + at,
      length: packetHeaderSize,
      flags,
      next: slot + 1,
    });
    this.writeDescriptor(transmitRing, slot + 1, {
      address: guestBase + at + packetHeaderSize,
      length: data.length,
      flags: 0,
      next: 0,
    });
    this.publish(transmitRing, slot);
    if (this.view.getUint16(this.#used(transmitRing), true) === 0) this.kick(transmitRing);
  }

  /** Takes what the device has put into the receive ring. */
  collect(): void {
    const used = this.#used(receiveRing);
    let reposted = false;
    while (this.#usedSeen[receiveRing] !== this.view.getUint16(used + 2, true)) {
      const element = used + 4 + (this.#usedSeen[receiveRing]! % ringSize) * 8;
      const index = this.view.getUint32(element, true);
      const length = this.view.getUint32(element + 4, true);
      this.#usedSeen[receiveRing] = (this.#usedSeen[receiveRing]! + 1) & 0xffff;
      const at = buffersAt + index * bufferSize;
      const header = decodePacketHeader(new DataView(this.#map.buffer, at, packetHeaderSize));
      const data = Buffer.from(this.memory.subarray(at + packetHeaderSize, at + length));
      if (this.repost) {
        this.publish(receiveRing, index);
        reposted = true;
      }
      this.onPacket({ header, data });
    }
    if (reposted && this.view.getUint16(used, true) === 0) this.kick(receiveRing);
    this.#collectTransmitted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const watcher of this.#callWatchers) await watcher.close();
    for (const fd of [this.#socket, this.#memoryFd, ...this.#kicks, ...this.#calls]) closeFd(fd);
    this.#map[Symbol.dispose]();
  }

  #collectTransmitted(): void {
    const used = this.#used(transmitRing);
    let any = false;
    while (this.#usedSeen[transmitRing] !== this.view.getUint16(used + 2, true)) {
      const element = used + 4 + (this.#usedSeen[transmitRing]! % ringSize) * 8;
      this.#freeSlots.push(this.view.getUint32(element, true));
      this.#usedSeen[transmitRing] = (this.#usedSeen[transmitRing]! + 1) & 0xffff;
      any = true;
    }
    if (any) this.onTransmitted();
  }

  #postBuffers(count: number): void {
    for (let index = 0; index < count; index++) {
      this.writeDescriptor(receiveRing, index, {
        address: guestBase + buffersAt + index * bufferSize,
        length: bufferSize,
        flags: 2,
        next: 0,
      });
      this.publish(receiveRing, index);
    }
    this.kick(receiveRing);
  }

  #table(ring: number): number {
    return ring * ringPage;
  }

  #available(ring: number): number {
    return ring * ringPage + 0x1000;
  }

  #used(ring: number): number {
    return ring * ringPage + 0x2000;
  }
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

export function pair(first: number, second: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(first, 0);
  bytes.writeUInt32LE(second, 4);
  return bytes;
}
