import { MemoryMap } from '@hcsshim/linux';
import { DeviceFault } from './device-fault.ts';
import type { MemoryRegion } from './vhost-user.ts';

/** A contiguous piece of the guest's memory, mapped here. Its first byte is byte 0 of the views. */
export interface MappedRegion {
  readonly guestAddress: number;
  /** Where the monitor has it mapped: rings are given in these addresses. */
  readonly userAddress: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Uint16Array;
}

/**
 * The memory of a guest. Every address and length that comes from a guest passes through here; what does not lie
 * wholly inside one region is a {@link DeviceFault}.
 */
export class GuestMemory implements Disposable {
  readonly #maps: MemoryMap[] = [];
  readonly #regions: MappedRegion[] = [];
  /** The region of the last hit; most guests have one that matters. */
  #recent: MappedRegion | undefined;

  /** Maps the regions. The descriptors stay the caller's. */
  constructor(regions: readonly MemoryRegion[], fds: readonly number[]) {
    try {
      for (const [index, region] of regions.entries()) this.#map(region, fds[index]!);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The region that holds `length` bytes at an address of the guest. */
  locate(address: number, length: number): MappedRegion {
    const recent = this.#recent;
    if (
      recent !== undefined &&
      address >= recent.guestAddress &&
      address + length <= recent.guestAddress + recent.size
    ) {
      return recent;
    }
    for (const region of this.#regions) {
      if (address >= region.guestAddress && address + length <= region.guestAddress + region.size) {
        this.#recent = region;
        return region;
      }
    }
    throw new DeviceFault(
      `The guest gave ${length} bytes at address 0x${address.toString(16)}, which is not its memory`,
    );
  }

  /** The region that holds `length` bytes at an address of the monitor, and where in it. */
  locateUser(address: number, length: number): { region: MappedRegion; offset: number } {
    for (const region of this.#regions) {
      if (address >= region.userAddress && address + length <= region.userAddress + region.size) {
        return { region, offset: address - region.userAddress };
      }
    }
    throw new DeviceFault(
      `The monitor gave ${length} bytes at address 0x${address.toString(16)}, which is not the guest's memory`,
    );
  }

  [Symbol.dispose](): void {
    this.#regions.length = 0;
    this.#recent = undefined;
    for (const map of this.#maps.splice(0)) map[Symbol.dispose]();
  }

  #map({ guestAddress, userAddress, size, offset }: MemoryRegion, fd: number): void {
    const map = new MemoryMap(fd, { length: size, offset });
    this.#maps.push(map);
    const { buffer } = map;
    this.#regions.push({
      guestAddress,
      userAddress,
      size,
      bytes: new Uint8Array(buffer),
      view: new DataView(buffer),
      words: new Uint16Array(buffer, 0, size >> 1),
    });
  }
}
