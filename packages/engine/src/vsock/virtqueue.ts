import { closeFd, drainEventFd, FdWatcher, signalEventFd } from '@hcsshim/linux';
import { DeviceFault } from './device-fault.ts';
import type { GuestMemory, MappedRegion } from './guest-memory.ts';
import type { RingAddresses } from './vhost-user.ts';

const descriptorSize = 16;
const DescriptorFlag = { next: 1, write: 2, indirect: 4 } as const;
/** In `available.flags`: the driver wants no interrupt. */
const noInterrupt = 1;
/** In `used.flags`: the device wants no kick. */
const noKick = 1;
/** QEMU gives a vsock device 128. Also the bound of a chain, and so of the work for one packet. */
const maxSize = 1024;

/** A buffer of the driver: pieces of guest memory, read or written from front to back. */
export class DescriptorChain {
  readonly #regions: MappedRegion[] = [];
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  #count = 0;
  #piece = 0;
  #position = 0;
  /** All bytes of the chain. */
  length = 0;

  get pieces(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = this.#piece = this.#position = this.length = 0;
  }

  add(region: MappedRegion, offset: number, length: number): void {
    this.#regions[this.#count] = region;
    this.#offsets[this.#count] = offset;
    this.#lengths[this.#count] = length;
    this.#count++;
    this.length += length;
  }

  /** Copies the next `length` bytes out of the guest. */
  read(target: Uint8Array, length: number): void {
    for (let done = 0; done < length; ) {
      const count = this.#available(length - done);
      const at = this.#offsets[this.#piece]! + this.#position;
      target.set(this.#regions[this.#piece]!.bytes.subarray(at, at + count), done);
      this.#position += count;
      done += count;
    }
  }

  /** Copies bytes into the guest, behind those written before. */
  write(source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const count = this.#available(source.length - done);
      const at = this.#offsets[this.#piece]! + this.#position;
      const part = count === source.length ? source : source.subarray(done, done + count);
      this.#regions[this.#piece]!.bytes.set(part, at);
      this.#position += count;
      done += count;
    }
  }

  /** How many of `wanted` bytes the current piece still has; goes on to the next piece when it has none. */
  #available(wanted: number): number {
    while (this.#piece < this.#count && this.#position === this.#lengths[this.#piece]) {
      this.#piece++;
      this.#position = 0;
    }
    if (this.#piece === this.#count) {
      throw new DeviceFault(`The guest gave a buffer of ${this.length} bytes, which is too short`);
    }
    return Math.min(wanted, this.#lengths[this.#piece]! - this.#position);
  }
}

interface RingMemory {
  readonly descriptors: { region: MappedRegion; offset: number };
  readonly available: { words: Uint16Array; index: number };
  readonly used: { region: MappedRegion; offset: number; index: number };
}

/**
 * The device's side of a split virtqueue (virtio 1.2, section 2.7):
 *
 *     descriptors  16 bytes each: address u64, length u32, flags u16, next u16
 *     available    flags u16, index u16, then heads of chains, u16 each      the driver writes
 *     used         flags u16, index u16, then {id u32, written u32} each     the device writes
 *
 * The guest can change every byte of it at any time, so each value is read once, checked, and then used.
 */
export class Virtqueue {
  /** Which way the buffers of this queue go: all descriptors must agree. */
  readonly #deviceWrites: boolean;
  readonly #onKick: () => void;
  /** The buffer at the front, after `next()` has said that there is one. */
  readonly chain = new DescriptorChain();
  #size = 0;
  #addresses: RingAddresses | undefined;
  #memory: GuestMemory | undefined;
  #ring: RingMemory | undefined;
  #nextAvailable = 0;
  #nextUsed = 0;
  #head = 0;
  #enabled = false;
  #completed = false;
  #kickFd = -1;
  #kickWatcher: FdWatcher | undefined;
  #callFd = -1;

  constructor(deviceWrites: boolean, onKick: () => void) {
    this.#deviceWrites = deviceWrites;
    this.#onKick = onKick;
  }

  /** The driver has set it up and it may be worked on. */
  get running(): boolean {
    return this.#enabled && this.#ring !== undefined && this.#kickWatcher !== undefined;
  }

  /** The index that the next buffer of the driver has. */
  get base(): number {
    return this.#nextAvailable;
  }

  set base(value: number) {
    this.#nextAvailable = value & 0xffff;
  }

  set enabled(value: boolean) {
    this.#enabled = value;
  }

  setSize(size: number): void {
    if (size < 1 || size > maxSize || (size & (size - 1)) !== 0) {
      throw new DeviceFault(`The monitor asked for a ring of ${size} entries`);
    }
    this.#size = size;
    this.#ring = undefined;
  }

  setAddresses(addresses: RingAddresses): void {
    this.#addresses = addresses;
    this.#locateRing();
  }

  /** The guest's memory, which may change while the queue runs (memory was added). */
  setMemory(memory: GuestMemory): void {
    this.#memory = memory;
    if (this.#addresses !== undefined) this.#locateRing();
  }

  /** Takes over the eventfd by which the driver tells of new buffers. */
  setKickFd(fd: number): void {
    this.#closeKick();
    this.#kickFd = fd;
    this.#kickWatcher = new FdWatcher(fd, () => {
      drainEventFd(fd);
      this.#onKick();
    });
    this.#kickWatcher.start();
  }

  /** Takes over the eventfd by which the driver is interrupted. */
  setCallFd(fd: number | undefined): void {
    if (this.#callFd >= 0) closeFd(this.#callFd);
    this.#callFd = fd ?? -1;
  }

  /** Stops working on it until it is set up again. Returns the base. */
  stop(): number {
    this.#closeKick();
    this.#ring = undefined;
    this.#addresses = undefined;
    return this.#nextAvailable;
  }

  close(): void {
    this.stop();
    this.setCallFd(undefined);
  }

  /** Whether the driver has given a buffer. It stays at the front until `complete`. */
  next(): boolean {
    const ring = this.#ring;
    if (ring === undefined) return false;
    const { words, index } = ring.available;
    const waiting = (Atomics.load(words, index + 1) - this.#nextAvailable) & 0xffff;
    if (waiting === 0) return false;
    if (waiting > this.#size) {
      throw new DeviceFault(`The guest claims ${waiting} buffers in a ring of ${this.#size}`);
    }
    this.#head = words[index + 2 + (this.#nextAvailable & (this.#size - 1))]!;
    this.#walkChain(ring);
    return true;
  }

  /** Gives the buffer at the front back to the driver. @param written Bytes that the device wrote into it. */
  complete(written: number): void {
    const { region, offset, index } = this.#ring!.used;
    const element = offset + 4 + 8 * (this.#nextUsed & (this.#size - 1));
    region.view.setUint32(element, this.#head, true);
    region.view.setUint32(element + 4, written, true);
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    Atomics.store(region.words, index + 1, this.#nextUsed);
    this.#completed = true;
  }

  /** Says whether the driver should kick when it adds buffers. After asking for kicks, look at `next` once more. */
  wantKicks(wanted: boolean): void {
    if (this.#ring === undefined) return;
    const { region, index } = this.#ring.used;
    Atomics.store(region.words, index, wanted ? 0 : noKick);
  }

  /** Interrupts the driver when buffers were given back since the last time. Returns whether it did. */
  interrupt(): boolean {
    if (!this.#completed || this.#ring === undefined) return false;
    this.#completed = false;
    const { words, index } = this.#ring.available;
    if (this.#callFd < 0 || Atomics.load(words, index) & noInterrupt) return false;
    signalEventFd(this.#callFd);
    return true;
  }

  #walkChain(ring: RingMemory): void {
    const { chain } = this;
    const memory = this.#memory!;
    const { region: table, offset } = ring.descriptors;
    chain.clear();
    for (let entry = this.#head; ; ) {
      if (entry >= this.#size) {
        throw new DeviceFault(`The guest names descriptor ${entry} of a ring of ${this.#size}`);
      }
      if (chain.pieces === this.#size)
        throw new DeviceFault('The guest gave a chain of descriptors that loops');
      const at = offset + entry * descriptorSize;
      const low = table.view.getUint32(at, true);
      const address = low + table.view.getUint32(at + 4, true) * 0x1_0000_0000;
      const length = table.view.getUint32(at + 8, true);
      const flags = table.view.getUint16(at + 12, true);
      if (flags & DescriptorFlag.indirect || ((flags & DescriptorFlag.write) !== 0) !== this.#deviceWrites) {
        throw new DeviceFault(`The guest gave a descriptor with flags ${flags}`);
      }
      const region = memory.locate(address, length);
      chain.add(region, address - region.guestAddress, length);
      if ((flags & DescriptorFlag.next) === 0) return;
      entry = table.view.getUint16(at + 14, true);
    }
  }

  #locateRing(): void {
    if (this.#memory === undefined || this.#addresses === undefined || this.#size === 0) {
      throw new DeviceFault('The monitor gave the addresses of a ring before its size and memory');
    }
    const { descriptors, available, used } = this.#addresses;
    const availableAt = this.#memory.locateUser(available, 4 + 2 * this.#size);
    const usedAt = this.#memory.locateUser(used, 4 + 8 * this.#size);
    if (availableAt.offset % 2 !== 0 || usedAt.offset % 4 !== 0) {
      throw new DeviceFault('The monitor gave addresses of a ring that are not aligned');
    }
    this.#ring = {
      descriptors: this.#memory.locateUser(descriptors, descriptorSize * this.#size),
      available: { words: availableAt.region.words, index: availableAt.offset >> 1 },
      used: { ...usedAt, index: usedAt.offset >> 1 },
    };
    this.#nextUsed = Atomics.load(usedAt.region.words, (usedAt.offset >> 1) + 1);
  }

  #closeKick(): void {
    const fd = this.#kickFd;
    const watcher = this.#kickWatcher;
    this.#kickFd = -1;
    this.#kickWatcher = undefined;
    void watcher?.close().then(() => closeFd(fd));
  }
}
