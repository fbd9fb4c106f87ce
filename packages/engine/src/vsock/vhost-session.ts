import { ControlChannel, type IncomingRequest } from './control-channel.ts';
import { DeviceFault } from './device-fault.ts';
import { GuestMemory } from './guest-memory.ts';
import {
  encodeConfig,
  encodeNumber,
  encodeRingState,
  Feature,
  type MemoryRegion,
  ProtocolFeature,
  type VhostUserRequest,
} from './vhost-user.ts';
import { Virtqueue } from './virtqueue.ts';

const offeredFeatures = Feature.version1 | Feature.protocolFeatures;
const offeredProtocolFeatures = ProtocolFeature.config | ProtocolFeature.replyAck;

/** The event queue, which is the third, QEMU serves itself. */
const ringCount = 2;

export interface VhostSessionEvents {
  /** The driver has added buffers to a ring. */
  onKick(): void;
  /** A ring may be worked on now. */
  onRunnable(): void;
  /** The driver began anew: the guest rebooted or loaded the driver again. Nothing of before is valid. */
  onDriverReset(): void;
  /** The monitor is gone (no error) or broke the rules. Called once, and the session has closed itself. */
  onEnd(error?: Error): void;
}

type HandlerTable = {
  readonly [K in VhostUserRequest['kind']]: (
    request: Extract<VhostUserRequest, { kind: K }>,
    incoming: IncomingRequest,
  ) => Uint8Array | undefined;
};

/** One monitor that has connected: what was negotiated with it, the guest's memory, the rings. */
export class VhostSession {
  /** Device to guest. */
  readonly receiveQueue: Virtqueue;
  /** Guest to device. */
  readonly transmitQueue: Virtqueue;
  readonly #queues: readonly Virtqueue[];
  readonly #events: VhostSessionEvents;
  readonly #channel: ControlChannel;
  /** `struct virtio_vsock_config`: the guest's context id. */
  readonly #config: Uint8Array;
  /** Where a queue was when the monitor stopped it; another place at its next start means a driver that began anew. */
  readonly #stoppedAt: (number | undefined)[] = [];
  #memory: GuestMemory | undefined;
  #ended = false;

  constructor(fd: number, guestCid: number, events: VhostSessionEvents) {
    this.#events = events;
    this.#config = encodeNumber(BigInt(guestCid));
    this.receiveQueue = new Virtqueue(true, () => events.onKick());
    this.transmitQueue = new Virtqueue(false, () => events.onKick());
    this.#queues = [this.receiveQueue, this.transmitQueue];
    this.#channel = new ControlChannel(fd, {
      onRequest: (request) => this.#serve(request),
      onEnd: (error) => this.end(error),
    });
  }

  get running(): boolean {
    return this.receiveQueue.running && this.transmitQueue.running;
  }

  /** Lets go of everything: the socket, the rings, the guest's memory. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const queue of this.#queues) queue.close();
    this.#memory?.[Symbol.dispose]();
    this.#memory = undefined;
    void this.#channel.close();
    this.#events.onEnd(error);
  }

  #serve(incoming: IncomingRequest): void {
    const { number, request, needsReply } = incoming;
    // An unknown request leaves things as they are: the monitor learns it from the acknowledgement, if it asks for one.
    const handle =
      request && (this.#handlers[request.kind] as (...args: unknown[]) => Uint8Array | undefined);
    const reply = handle?.(request, incoming);
    if (this.#ended) return;
    if (reply !== undefined) this.#channel.reply(number, reply);
    else if (needsReply) this.#channel.reply(number, encodeNumber(request === undefined ? 1n : 0n));
  }

  readonly #handlers: HandlerTable = {
    'get-features': () => encodeNumber(offeredFeatures),
    'set-features': ({ features }) => {
      if ((features & ~offeredFeatures) !== 0n || (features & Feature.version1) === 0n) {
        throw new DeviceFault(
          `The driver chose the features 0x${features.toString(16)}, which were not offered`,
        );
      }
      // Without the protocol's own feature, rings need not be enabled.
      if ((features & Feature.protocolFeatures) === 0n) {
        for (const queue of this.#queues) queue.enabled = true;
      }
      return undefined;
    },
    'set-owner': () => undefined,
    'reset-owner': () => undefined,
    'get-protocol-features': () => encodeNumber(offeredProtocolFeatures),
    'set-protocol-features': () => undefined,
    'get-queue-count': () => encodeNumber(BigInt(ringCount)),
    'set-memory-table': ({ regions }, { fds }) => {
      this.#mapMemory(regions, fds);
      return undefined;
    },
    'set-ring-size': ({ ring, size }) => {
      this.#queue(ring).setSize(size);
      return undefined;
    },
    'set-ring-addresses': ({ ring, addresses }) => {
      this.#queue(ring).setAddresses(addresses);
      return undefined;
    },
    'set-ring-base': ({ ring, base }) => {
      const queue = this.#queue(ring);
      const stoppedAt = this.#stoppedAt[ring];
      queue.base = base;
      if (stoppedAt !== undefined && stoppedAt !== base) this.#events.onDriverReset();
      this.#stoppedAt[ring] = undefined;
      return undefined;
    },
    'get-ring-base': ({ ring }) => {
      const base = this.#queue(ring).stop();
      this.#stoppedAt[ring] = base;
      return encodeRingState(ring, base);
    },
    'set-ring-kick': ({ ring }, { fds }) => {
      const fd = fds.shift();
      if (fd === undefined)
        throw new DeviceFault('The monitor wants a ring to be polled, which is not offered');
      this.#queue(ring).setKickFd(fd);
      this.#events.onRunnable();
      return undefined;
    },
    'set-ring-call': ({ ring }, { fds }) => {
      this.#queue(ring).setCallFd(fds.shift());
      return undefined;
    },
    'set-ring-error': () => undefined,
    'set-ring-enabled': ({ ring, enabled }) => {
      this.#queue(ring).enabled = enabled;
      if (enabled) this.#events.onRunnable();
      return undefined;
    },
    'get-config': ({ offset, size }) => {
      if (offset + size > this.#config.length) return encodeConfig(offset, new Uint8Array());
      return encodeConfig(offset, this.#config.subarray(offset, offset + size));
    },
  };

  #mapMemory(regions: readonly MemoryRegion[], fds: readonly number[]): void {
    if (fds.length !== regions.length) {
      throw new DeviceFault(
        `The monitor sent ${fds.length} descriptors for ${regions.length} memory regions`,
      );
    }
    const previous = this.#memory;
    this.#memory = new GuestMemory(regions, fds);
    for (const queue of this.#queues) queue.setMemory(this.#memory);
    previous?.[Symbol.dispose]();
  }

  #queue(ring: number): Virtqueue {
    const queue = this.#queues[ring];
    if (queue === undefined) {
      throw new DeviceFault(`The monitor named ring ${ring} of a device with ${ringCount} rings`);
    }
    return queue;
  }
}
