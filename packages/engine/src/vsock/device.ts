import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { rm } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { HvListener } from '@hcsshim/bridge';
import { closeFd, listenUnix, type SocketListener, VsockCid } from '@hcsshim/linux';
import {
  type ConnectionLink,
  connectionError,
  keepQuietUntilTaken,
  receiveBufferSize,
  VsockConnection,
} from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { DeviceFault } from './device-fault.ts';
import { Fifo } from './fifo.ts';
import { VsockListener } from './listener.ts';
import {
  decodePacketHeader,
  encodePacketHeader,
  maxPayload,
  type PacketHeader,
  PacketOperation,
  PacketType,
  packetHeaderSize,
  ShutdownFlag,
} from './packet.ts';
import { VhostSession } from './vhost-session.ts';

/** Work of one turn of the event loop in each direction; then others get theirs. */
const bytesPerTurn = 2 << 20;
const packetsPerTurn = 512;
/** Answers that wait for a buffer of the guest. Beyond it nothing more is taken from the guest. */
const maxQueuedControl = 1024;
const maxConnections = 1024;
const connectTimeout = 10_000;
/** Host ports of connections that the host makes are chosen from here upward, as ephemeral ports are. */
const firstEphemeralPort = 0x8000_0000;
const ephemeralPorts = 0x4000_0000;

export interface VhostUserVsockOptions {
  /** Where the monitor's chardev connects; replaced if it exists. At most 107 bytes. */
  socketPath: string;
  /** The context id that the guest gets: from 3 to 2^32 - 2. */
  guestCid: number;
}

/** Counts since the device was made. */
export interface VsockStatistics {
  connections: number;
  packetsFromGuest: number;
  bytesFromGuest: number;
  packetsToGuest: number;
  bytesToGuest: number;
  kicks: number;
  interrupts: number;
  /** Times that data waited for the guest to read. */
  creditStalls: number;
  /** Times that a packet waited for the guest to give a buffer. */
  receiveRingEmpty: number;
}

export interface VsockEvents {
  /** A monitor has connected and the driver of its guest has set up the device. */
  device: [];
  /** The guest or its monitor broke the rules; the device has stopped. `gone` follows. */
  fault: [error: Error];
  /** The monitor has let go of the device, or it has stopped. All streams were reset; another monitor may connect. */
  gone: [];
}

/** A packet without data, waiting for a buffer of the guest. */
interface ControlPacket {
  readonly hostPort: number;
  readonly guestPort: number;
  readonly operation: PacketOperation;
  /** Undefined for an answer to nobody in particular. */
  readonly connection: VsockConnection | undefined;
}

interface IncomingPacket {
  readonly header: PacketHeader;
  readonly data: Uint8Array | undefined;
}

/**
 * A virtio-vsock device for a VM, served here for a monitor that speaks vhost-user
 * (`-chardev socket,path=… -device vhost-user-vsock-pci,chardev=…`, memory with `share=on`). The streams end in this process:
 * no descriptor and no system call per stream or byte.
 *
 * It runs on Node's main loop. Each turn takes a bounded amount of work: first what the guest sent, then what waits
 * to be sent, one packet for each connection in turn. User code (stream events, callbacks) runs between the two
 * and never while a ring is half-way.
 */
export class VhostUserVsock extends EventEmitter<VsockEvents> implements AsyncDisposable, ConnectionLink {
  readonly guestCid: number;
  readonly socketPath: string;
  readonly #monitors: SocketListener;
  readonly #listeners = new Map<number, VsockListener>();
  readonly #connections = new ConnectionTable();
  readonly #incoming = new Fifo<IncomingPacket>();
  readonly #control = new Fifo<ControlPacket>();
  readonly #senders = new Fifo<VsockConnection>();
  /** Connections whose write has just been sent. */
  #written: VsockConnection[] = [];
  readonly #connecting = new Map<VsockConnection, () => void>();
  readonly #header = new DataView(new ArrayBuffer(packetHeaderSize));
  readonly #headerBytes = new Uint8Array(this.#header.buffer);
  readonly #statistics: VsockStatistics = {
    connections: 0,
    packetsFromGuest: 0,
    bytesFromGuest: 0,
    packetsToGuest: 0,
    bytesToGuest: 0,
    kicks: 0,
    interrupts: 0,
    creditStalls: 0,
    receiveRingEmpty: 0,
  };
  #session: VhostSession | undefined;
  #announced = false;
  #scheduled = false;
  #nextPort = firstEphemeralPort + randomInt(ephemeralPorts);
  #closed: Promise<void> | undefined;

  /** Listens for the monitor. Ports can be listened on at once; connecting needs a monitor. */
  static async listen({ socketPath, guestCid }: VhostUserVsockOptions): Promise<VhostUserVsock> {
    if (!Number.isInteger(guestCid) || guestCid < 3 || guestCid >= VsockCid.any) {
      throw new RangeError(
        `Cannot make a vsock device for context id ${guestCid}: use one from 3 to 4294967294`,
      );
    }
    await rm(socketPath, { force: true });
    return new VhostUserVsock(socketPath, guestCid, listenUnix(socketPath));
  }

  private constructor(socketPath: string, guestCid: number, monitors: SocketListener) {
    super();
    this.socketPath = socketPath;
    this.guestCid = guestCid;
    this.#monitors = monitors;
    void this.#acceptMonitors();
  }

  get statistics(): Readonly<VsockStatistics> {
    return { ...this.#statistics, connections: this.#connections.size };
  }

  /** Lets the guest connect to `port` of the host. Throws when the port is taken. */
  listen(port: number): HvListener {
    if (this.#closed !== undefined)
      throw new Error(`Cannot listen on vsock port ${port}: the device is closed`);
    if (this.#listeners.has(port)) {
      const message = `Cannot listen on vsock port ${port}: it is taken, close the other listener first`;
      throw Object.assign(new Error(message), { code: 'EADDRINUSE' });
    }
    const listener = new VsockListener(port, () => this.#listeners.delete(port));
    this.#listeners.set(port, listener);
    return listener;
  }

  /**
   * Connects to `port` of the guest, within 10 s. Rejects with code ECONNREFUSED when nothing listens there, ENODEV when
   * no monitor has connected, ETIMEDOUT when the guest does not answer.
   */
  async connect(port: number, { signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#session === undefined) {
      throw connectionError(
        'ENODEV',
        { guestPort: port },
        'the guest has no vsock device, wait for "device"',
      );
    }
    const connection = new VsockConnection(this, this.#freePort(port), port, 'connecting');
    this.#connections.add(connection);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => connection.destroy(signal?.reason);
    const timer = setTimeout(
      () => connection.destroy(connectionError('ETIMEDOUT', connection, 'it did not answer within 10 s')),
      connectTimeout,
    );
    this.#connecting.set(connection, resolve);
    connection.once('error', reject);
    signal?.addEventListener('abort', abort, { once: true });
    this.#sendControl(connection, PacketOperation.request);
    try {
      await promise;
      return connection;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      connection.off('error', reject);
      this.#connecting.delete(connection);
    }
  }

  /** Resets all streams, closes all listeners and removes the socket. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#session?.end();
    for (const listener of [...this.#listeners.values()]) await listener[Symbol.asyncDispose]();
    await this.#monitors.close();
    await rm(this.socketPath, { force: true });
  }

  // Sessions with monitors

  async #acceptMonitors(): Promise<void> {
    for (;;) {
      try {
        const fd = await this.#monitors.accept();
        if (this.#closed === undefined) this.#startSession(fd);
        else closeFd(fd);
      } catch (error) {
        if (this.#closed !== undefined) return;
        this.emit('fault', error as Error);
        await delay(100);
      }
    }
  }

  #startSession(fd: number): void {
    this.#session?.end();
    const session: VhostSession = new VhostSession(fd, this.guestCid, {
      onRunnable: () => this.#schedule(),
      onKick: () => {
        this.#statistics.kicks++;
        this.#service();
      },
      onDriverReset: () => this.#resetAll('its driver began anew'),
      onEnd: (error) => this.#sessionEnded(session, error),
    });
    this.#session = session;
    this.#announced = false;
  }

  #sessionEnded(session: VhostSession, error: Error | undefined): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#resetAll('its device is gone', error);
    if (error !== undefined) this.emit('fault', error);
    this.emit('gone');
  }

  #resetAll(reason: string, cause?: Error): void {
    this.#incoming.clear();
    this.#control.clear();
    for (const connection of this.#connections.all()) {
      connection.cut(connectionError('ECONNRESET', connection, reason, cause && { cause }));
    }
  }

  // Turns of work

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#service();
    });
  }

  #service(): void {
    const session = this.#session;
    if (session === undefined || !session.running) return;
    if (!this.#announced) {
      this.#announced = true;
      this.emit('device');
      if (this.#session !== session) return;
    }
    const moreToTake = this.#guarded(session, () => this.#takeFromGuest(session));
    this.#deliver();
    if (this.#session !== session || !session.running) return;
    const moreToSend = this.#guarded(session, () => this.#sendToGuest(session));
    this.#callBackWriters();
    // With too many answers queued, the next buffer that the guest gives for them goes on with this.
    const roomForAnswers = this.#control.length < maxQueuedControl;
    if ((moreToTake && roomForAnswers) || moreToSend) this.#schedule();
  }

  /** Ring work, in which no user code runs: what goes wrong there is the guest's fault. */
  #guarded(session: VhostSession, work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      session.end(error as Error);
      return false;
    }
  }

  /** Takes packets out of the transmit ring. Returns whether there may be more. */
  #takeFromGuest(session: VhostSession): boolean {
    const queue = session.transmitQueue;
    queue.wantKicks(false);
    let bytes = 0;
    let pieces = 0;
    let more = true;
    while (bytes < bytesPerTurn && pieces < packetsPerTurn && this.#control.length < maxQueuedControl) {
      if (!queue.next()) {
        queue.wantKicks(true);
        if (!queue.next()) {
          more = false;
          break;
        }
        queue.wantKicks(false);
      }
      const { chain } = queue;
      chain.read(this.#headerBytes, packetHeaderSize);
      const header = decodePacketHeader(this.#header);
      let data: Uint8Array | undefined;
      if (header.operation === PacketOperation.data && header.length > 0) {
        if (header.length > maxPayload) {
          throw new DeviceFault(`The guest sent a packet with ${header.length} bytes of data`);
        }
        data = Buffer.allocUnsafe(header.length);
        chain.read(data, header.length);
        bytes += header.length;
      }
      pieces += chain.pieces;
      queue.complete(0);
      this.#incoming.push({ header, data });
      this.#statistics.packetsFromGuest++;
    }
    this.#statistics.bytesFromGuest += bytes;
    if (queue.interrupt()) this.#statistics.interrupts++;
    return more;
  }

  /** Puts packets into the receive ring. Returns whether more could be sent at once. */
  #sendToGuest(session: VhostSession): boolean {
    const queue = session.receiveQueue;
    queue.wantKicks(false);
    let bytes = 0;
    let packets = 0;
    for (; packets < packetsPerTurn && bytes < bytesPerTurn; packets++) {
      const control = this.#control.peek();
      const sender = control === undefined ? this.#nextSender() : undefined;
      if (control === undefined && sender === undefined) break;
      if (!queue.next()) {
        this.#statistics.receiveRingEmpty++;
        queue.wantKicks(true);
        if (!queue.next()) break;
        queue.wantKicks(false);
      }
      if (control !== undefined) {
        this.#control.shift();
        if (control.operation === PacketOperation.creditUpdate) control.connection?.creditUpdateSent();
        this.#putHeader(session, control, 0, 0);
        queue.complete(packetHeaderSize);
      } else if (sender !== undefined) {
        bytes += this.#sendOne(session, sender);
      }
      this.#statistics.packetsToGuest++;
    }
    this.#statistics.bytesToGuest += bytes;
    if (queue.interrupt()) this.#statistics.interrupts++;
    return bytes >= bytesPerTurn || packets >= packetsPerTurn;
  }

  /** The connection whose turn it is; it stays at the front until it has sent. */
  #nextSender(): VsockConnection | undefined {
    for (;;) {
      const connection = this.#senders.peek();
      const step = connection?.nextStep();
      if (connection === undefined || step === 'data' || step === 'shutdown') return connection;
      this.#senders.shift();
      connection.queuedToSend = false;
      if (step === 'stalled') {
        this.#statistics.creditStalls++;
        if (connection.askForCredit()) this.#sendControl(connection, PacketOperation.creditRequest);
      }
    }
  }

  /** One packet of one connection. Returns the bytes of data in it. */
  #sendOne(session: VhostSession, connection: VsockConnection): number {
    const { receiveQueue: queue } = session;
    this.#senders.shift();
    connection.queuedToSend = false;
    if (connection.nextStep() === 'shutdown') {
      this.#putHeader(session, control(connection, PacketOperation.shutdown), 0, ShutdownFlag.send);
      queue.complete(packetHeaderSize);
      this.#written.push(connection);
      return 0;
    }
    const length = connection.sendable(Math.min(queue.chain.length - packetHeaderSize, maxPayload));
    this.#putHeader(session, control(connection, PacketOperation.data), length, 0);
    if (connection.send(queue.chain, length)) this.#written.push(connection);
    else this.#enqueueSender(connection);
    queue.complete(packetHeaderSize + length);
    return length;
  }

  #putHeader(session: VhostSession, packet: ControlPacket, length: number, flags: number): void {
    const { connection } = packet;
    encodePacketHeader(this.#header, {
      sourceCid: VsockCid.host,
      destinationCid: this.guestCid,
      sourcePort: packet.hostPort,
      destinationPort: packet.guestPort,
      length,
      type: PacketType.stream,
      operation: packet.operation,
      flags,
      bufferSize: connection === undefined ? 0 : receiveBufferSize,
      forwarded: connection?.takeForwarded() ?? 0,
    });
    session.receiveQueue.chain.write(this.#headerBytes);
  }

  /** Hands packets to their connections. User code runs here; what it throws is uncaught, and the rest comes in the next turn. */
  #deliver(): void {
    try {
      for (let packet = this.#incoming.shift(); packet !== undefined; packet = this.#incoming.shift()) {
        this.#dispatch(packet);
      }
    } finally {
      if (this.#incoming.length > 0) this.#schedule();
    }
  }

  #callBackWriters(): void {
    const written = this.#written;
    this.#written = [];
    try {
      while (written.length > 0) written.shift()?.written();
    } finally {
      this.#written.push(...written);
      if (written.length > 0) this.#schedule();
    }
  }

  // What packets mean

  #dispatch({ header, data }: IncomingPacket): void {
    const { sourcePort: guestPort, destinationPort: hostPort, operation } = header;
    if (header.sourceCid !== this.guestCid || header.destinationCid !== VsockCid.host) return;
    const connection = this.#connections.get(hostPort, guestPort);
    if (header.type !== PacketType.stream) {
      this.#refuse(hostPort, guestPort, operation);
    } else if (operation === PacketOperation.request) {
      connection?.cut(connectionError('ECONNRESET', connection, 'the guest began anew'));
      this.#acceptConnection(hostPort, guestPort, header);
    } else if (connection === undefined) {
      this.#refuse(hostPort, guestPort, operation);
    } else {
      connection.setGuestCredit(header.bufferSize, header.forwarded);
      if (connection.state === 'connecting') this.#answered(connection, operation);
      else this.#receive(connection, header, data);
    }
  }

  #acceptConnection(hostPort: number, guestPort: number, header: PacketHeader): void {
    const listener = this.#listeners.get(hostPort);
    if (listener === undefined || !listener.hasRoom || this.#connections.size >= maxConnections) {
      this.#refuse(hostPort, guestPort, header.operation);
      return;
    }
    const connection = new VsockConnection(this, hostPort, guestPort, 'open');
    connection.setGuestCredit(header.bufferSize, header.forwarded);
    this.#connections.add(connection);
    this.#sendControl(connection, PacketOperation.response);
    listener.offer(connection);
  }

  /** The guest's answer to our request. */
  #answered(connection: VsockConnection, operation: number): void {
    if (operation === PacketOperation.response) {
      connection.opened();
      keepQuietUntilTaken(connection);
      this.#connecting.get(connection)?.();
    } else {
      this.#refuse(connection.hostPort, connection.guestPort, operation);
      connection.cut(connectionError('ECONNREFUSED', connection, 'nothing listens there'));
    }
  }

  #receive(connection: VsockConnection, header: PacketHeader, data: Uint8Array | undefined): void {
    switch (header.operation) {
      case PacketOperation.data:
        if (data === undefined || connection.receive(data)) return;
        this.#refuse(connection.hostPort, connection.guestPort, header.operation);
        connection.cut(connectionError('ECONNRESET', connection, 'the guest sent more than its credit'));
        return;
      case PacketOperation.creditRequest:
        connection.creditRequested();
        return;
      case PacketOperation.creditUpdate:
        return;
      case PacketOperation.shutdown:
        connection.shutDownByGuest(
          (header.flags & ShutdownFlag.receive) !== 0,
          (header.flags & ShutdownFlag.send) !== 0,
        );
        return;
      case PacketOperation.reset:
        connection.cut(connectionError('ECONNRESET', connection, 'the guest reset the connection'));
        return;
      default:
        this.#refuse(connection.hostPort, connection.guestPort, header.operation);
        connection.cut(
          connectionError('ECONNRESET', connection, `the guest sent operation ${header.operation}`),
        );
    }
  }

  /** A packet that belongs nowhere is answered by a reset, unless it is one. */
  #refuse(hostPort: number, guestPort: number, operation: number): void {
    if (operation === PacketOperation.reset) return;
    this.#control.push({ hostPort, guestPort, operation: PacketOperation.reset, connection: undefined });
    this.#schedule();
  }

  // What connections ask for

  wantsToSend(connection: VsockConnection): void {
    this.#enqueueSender(connection);
    this.#schedule();
  }

  sendCreditUpdate(connection: VsockConnection): void {
    this.#sendControl(connection, PacketOperation.creditUpdate);
  }

  forget(connection: VsockConnection, reset: boolean): void {
    this.#connections.remove(connection);
    if (reset) this.#refuse(connection.hostPort, connection.guestPort, PacketOperation.shutdown);
  }

  #sendControl(connection: VsockConnection, operation: PacketOperation): void {
    this.#control.push(control(connection, operation));
    this.#schedule();
  }

  #enqueueSender(connection: VsockConnection): void {
    if (connection.queuedToSend) return;
    connection.queuedToSend = true;
    this.#senders.push(connection);
  }

  #freePort(guestPort: number): number {
    for (;;) {
      const port = this.#nextPort;
      this.#nextPort = firstEphemeralPort + ((port + 1 - firstEphemeralPort) % ephemeralPorts);
      if (!this.#listeners.has(port) && this.#connections.get(port, guestPort) === undefined) return port;
    }
  }
}

function control(connection: VsockConnection, operation: PacketOperation): ControlPacket {
  return { hostPort: connection.hostPort, guestPort: connection.guestPort, operation, connection };
}
