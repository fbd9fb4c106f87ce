import type { Duplex } from 'node:stream';
import { type BoundDll, bind, EventWatch, type Handle, streamFromSocket, winsock } from '@hcsshim/windows';
import type { HvListener, HvSocket } from '../hv-socket.ts';
import { hyperVAddress, hyperVFamily, rawProtocol } from './hyper-v-address.ts';
import { WindowsHvListener } from './windows-hv-listener.ts';
import { socketError, WSAEWOULDBLOCK, winsockError } from './winsock-error.ts';

/** The calls of Winsock that hvsockets need. */
export type Winsock = BoundDll<typeof winsock>;
export type SocketHandle = Handle<'SOCKET'>;

export interface WindowsHvSocketOptions {
  /**
   * Milliseconds that a guest may take to answer a connection, up to 300000. Windows does not refuse a port on
   * which nothing listens at once: it waits for so long.
   * @default 10000
   */
  connectTimeout?: number;
}

// winsock2.h
const SOCK_STREAM = 1;
const WSA_FLAG_OVERLAPPED = 0x01;
const WSA_FLAG_NO_HANDLE_INHERIT = 0x80;
const FD_CONNECT = 0x10;
const FD_CONNECT_BIT = 4;
/** `WSANETWORKEVENTS`: the events as bits, then an error for each of ten. */
const networkEventsBytes = 44;

/** Of hvsocket.h; its level is HV_PROTOCOL_RAW. */
const HVSOCKET_CONNECT_TIMEOUT = 1;

/** The hvsockets of Windows: AF_HYPERV. Nothing is loaded before the first call. */
export function createWindowsHvSocket(options: WindowsHvSocketOptions = {}): HvSocket {
  return new WindowsHvSocket(bind(winsock), options);
}

export class WindowsHvSocket implements HvSocket {
  readonly #winsock: Winsock;
  readonly #connectTimeout: number;

  constructor(calls: Winsock, { connectTimeout = 10_000 }: WindowsHvSocketOptions = {}) {
    this.#winsock = calls;
    this.#connectTimeout = connectTimeout;
  }

  async listen(vmId: string, port: number): Promise<HvListener> {
    const action = `Cannot listen on port ${port} for VM ${vmId}`;
    const address = hyperVAddress(action, vmId, port);
    try {
      return await WindowsHvListener.open(this.#winsock, openSocket(this.#winsock), address, port);
    } catch (error) {
      throw socketError(action, error);
    }
  }

  async connect(vmId: string, port: number, { signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    const action = `Cannot connect to port ${port} of VM ${vmId}`;
    signal?.throwIfAborted();
    const address = hyperVAddress(action, vmId, port);
    try {
      return await this.#connect(action, address, signal);
    } catch (error) {
      throw socketError(action, error);
    }
  }

  async #connect(action: string, address: Buffer, signal: AbortSignal | undefined): Promise<Duplex> {
    const { closesocket, setsockopt, WSAEventSelect } = this.#winsock;
    const connected = Promise.withResolvers<number>();
    await using watch = EventWatch.open(() => {
      const result = this.#connectResult(socket, watch.event);
      if (result !== undefined) connected.resolve(result);
    });
    const socket = openSocket(this.#winsock);
    try {
      const timeout = Buffer.alloc(4);
      timeout.writeUInt32LE(this.#connectTimeout);
      const option = { level: rawProtocol, option: HVSOCKET_CONNECT_TIMEOUT };
      setsockopt({ socket, ...option, value: timeout, length: timeout.length });
      WSAEventSelect({ socket, event: watch.event, networkEvents: FD_CONNECT });
      if (!this.#beginToConnect(socket, address)) {
        const error = await this.#before(action, connected.promise, signal);
        if (error !== 0) throw winsockError(action, error);
      }
      WSAEventSelect({ socket, networkEvents: 0 });
      return streamFromSocket(socket);
    } catch (error) {
      closesocket({ socket });
      throw error;
    }
  }

  /** False when it is under way. */
  #beginToConnect(socket: SocketHandle, address: Buffer): boolean {
    try {
      this.#winsock.connect({ socket, address, length: address.length });
      return true;
    } catch (error) {
      if ((error as { status?: number }).status !== WSAEWOULDBLOCK) throw error;
      return false;
    }
  }

  /** Winsock's code, 0 for success, undefined while it is under way. */
  #connectResult(socket: SocketHandle, event: Handle<'HANDLE'>): number | undefined {
    const networkEvents = Buffer.alloc(networkEventsBytes);
    this.#winsock.WSAEnumNetworkEvents({ socket, event, networkEvents });
    if ((networkEvents.readUInt32LE(0) & FD_CONNECT) === 0) return undefined;
    return networkEvents.readInt32LE(4 + 4 * FD_CONNECT_BIT);
  }

  /** Windows keeps the time too; this is for the case that it does not. */
  async #before(
    action: string,
    connected: Promise<number>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const givenUp = Promise.withResolvers<never>();
    const abort = (): void => givenUp.reject(signal?.reason);
    const grace = 1_000;
    const timer = setTimeout(() => givenUp.reject(winsockError(action, 10060)), this.#connectTimeout + grace);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([connected, givenUp.promise]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
}

function openSocket({ WSASocketW }: Winsock): SocketHandle {
  return WSASocketW({
    family: hyperVFamily,
    type: SOCK_STREAM,
    protocol: rawProtocol,
    protocolInformation: null,
    group: 0,
    flags: WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT,
  });
}
