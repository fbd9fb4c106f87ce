import { PacketOperation, PacketType } from '../packet.ts';
import { FakeFrontEnd, type GuestPacket } from './fake-front-end.ts';

export const guestCid = 42;
const guestBuffer = 256 << 10;

/** The vsock layer of a guest over a fake front-end: sockets with credit, as Linux has them. */
export class FakeGuest implements AsyncDisposable {
  readonly frontEnd: FakeFrontEnd;
  readonly #sockets = new Map<string, GuestSocket>();
  readonly #accepting = new Map<number, (socket: GuestSocket) => void>();
  readonly #queue: (() => void)[] = [];
  /** Packets for no socket. */
  readonly strays: GuestPacket[] = [];

  static async boot(socketPath: string, options?: { receiveBuffers?: number }): Promise<FakeGuest> {
    return new FakeGuest(await FakeFrontEnd.connect(socketPath, options));
  }

  constructor(frontEnd: FakeFrontEnd) {
    this.frontEnd = frontEnd;
    frontEnd.onPacket = (packet) => this.#dispatch(packet);
    frontEnd.onTransmitted = () => this.#flush();
  }

  /** Starts a connection; the socket's `opened` tells how it went. */
  connect(hostPort: number, guestPort: number): GuestSocket {
    const socket = this.#add(hostPort, guestPort);
    socket.transmit(PacketOperation.request);
    return socket;
  }

  /** Accepts one connection on a port of the guest. */
  accept(guestPort: number): Promise<GuestSocket> {
    const { promise, resolve } = Promise.withResolvers<GuestSocket>();
    this.#accepting.set(guestPort, resolve);
    return promise;
  }

  /** Runs when the transmit ring has room, in order. */
  whenRoom(work: () => void): void {
    this.#queue.push(work);
    this.#flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.frontEnd[Symbol.asyncDispose]();
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.frontEnd.canTransmit) this.#queue.shift()?.();
  }

  #add(hostPort: number, guestPort: number): GuestSocket {
    const socket = new GuestSocket(this, hostPort, guestPort);
    this.#sockets.set(`${hostPort}:${guestPort}`, socket);
    return socket;
  }

  #dispatch(packet: GuestPacket): void {
    const { sourcePort: hostPort, destinationPort: guestPort, operation } = packet.header;
    const socket = this.#sockets.get(`${hostPort}:${guestPort}`);
    if (socket !== undefined) {
      socket.take(packet);
      return;
    }
    const accept = this.#accepting.get(guestPort);
    if (operation !== PacketOperation.request || accept === undefined) {
      this.strays.push(packet);
      if (operation === PacketOperation.request) {
        new GuestSocket(this, hostPort, guestPort).transmit(PacketOperation.reset);
      }
      return;
    }
    const accepted = this.#add(hostPort, guestPort);
    accepted.take(packet);
    accepted.transmit(PacketOperation.response);
    accept(accepted);
  }
}

export class GuestSocket {
  readonly hostPort: number;
  readonly guestPort: number;
  readonly #guest: FakeGuest;
  readonly operations: number[] = [];
  readonly chunks: Buffer[] = [];
  /** Whether arriving data is consumed at once, which grants credit. */
  reading = true;
  shutdownFlags = 0;
  #sent = 0;
  #received = 0;
  #forwarded = 0;
  #hostBuffer = 0;
  #hostForwarded = 0;
  #changed = Promise.withResolvers<void>();

  constructor(guest: FakeGuest, hostPort: number, guestPort: number) {
    this.#guest = guest;
    this.hostPort = hostPort;
    this.guestPort = guestPort;
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get receivedBytes(): number {
    return this.#received;
  }

  get credit(): number {
    return this.#hostBuffer - ((this.#sent - this.#hostForwarded) >>> 0);
  }

  /** Resolves when the condition holds; looked at after each packet. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  async opened(): Promise<boolean> {
    const answers: number[] = [PacketOperation.response, PacketOperation.reset];
    await this.until(() => this.operations.some((operation) => answers.includes(operation)));
    return this.operations.includes(PacketOperation.response);
  }

  /** Sends all of it as the host's credit allows. */
  async send(data: Uint8Array, packetSize = 64 << 10): Promise<void> {
    for (let at = 0; at < data.length; ) {
      await this.until(() => this.credit > 0);
      const count = Math.min(this.credit, packetSize, data.length - at);
      this.#sent = (this.#sent + count) >>> 0;
      this.transmit(PacketOperation.data, { data: data.subarray(at, at + count) });
      at += count;
    }
  }

  shutdown(flags: number): void {
    this.transmit(PacketOperation.shutdown, { flags });
  }

  /** Consumes what has arrived and tells the host. */
  grantCredit(): void {
    this.#forwarded = this.#received;
    this.transmit(PacketOperation.creditUpdate);
  }

  transmit(operation: number, { data, flags = 0 }: { data?: Uint8Array; flags?: number } = {}): void {
    this.#guest.whenRoom(() =>
      this.#guest.frontEnd.transmit(
        {
          sourceCid: guestCid,
          destinationCid: 2,
          sourcePort: this.guestPort,
          destinationPort: this.hostPort,
          length: data?.length ?? 0,
          type: PacketType.stream,
          operation,
          flags,
          bufferSize: guestBuffer,
          forwarded: this.#forwarded,
        },
        data,
      ),
    );
  }

  take({ header, data }: GuestPacket): void {
    this.#hostBuffer = header.bufferSize;
    this.#hostForwarded = header.forwarded;
    this.operations.push(header.operation);
    if (header.operation === PacketOperation.data) {
      this.chunks.push(data);
      this.#received = (this.#received + data.length) >>> 0;
      const room = guestBuffer - (this.#received - this.#forwarded);
      if (this.reading && room < 64 << 10) this.grantCredit();
    }
    if (header.operation === PacketOperation.shutdown) this.shutdownFlags |= header.flags;
    if (header.operation === PacketOperation.creditRequest) this.transmit(PacketOperation.creditUpdate);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
