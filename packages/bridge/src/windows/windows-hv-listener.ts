import type { Duplex } from 'node:stream';
import { HcsError } from '@hcsshim/schema';
import { DllCallError, EventWatch, streamFromSocket } from '@hcsshim/windows';
import type { HvListener } from '../hv-socket.ts';
import type { SocketHandle, Winsock } from './windows-hv-socket.ts';
import { socketError, WSAECONNRESET, WSAEWOULDBLOCK } from './winsock-error.ts';

/** Connections that Windows keeps until somebody accepts them; further ones are refused. */
const backlog = 128;
const FD_ACCEPT = 0x08;

/**
 * A listening socket of Winsock. Connections wait in Windows, not here, until somebody accepts them: then one is
 * taken without blocking, or the event is awaited that tells of the next.
 */
export class WindowsHvListener implements HvListener {
  readonly port: number;
  readonly #winsock: Winsock;
  readonly #socket: SocketHandle;
  readonly #watch: EventWatch;
  readonly #waiting: PromiseWithResolvers<Duplex>[] = [];
  #closing: Promise<void> | undefined;

  private constructor(winsock: Winsock, socket: SocketHandle, port: number) {
    this.#winsock = winsock;
    this.#socket = socket;
    this.port = port;
    this.#watch = EventWatch.open(() => this.#acceptForWaiting());
  }

  /** Takes the socket over, also when it throws. */
  static async open(
    winsock: Winsock,
    socket: SocketHandle,
    address: Buffer,
    port: number,
  ): Promise<WindowsHvListener> {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => winsock.closesocket({ socket }));
    winsock.bind({ socket, address, length: address.length });
    const listener = new WindowsHvListener(winsock, socket, port);
    undo.use(listener.#watch);
    winsock.WSAEventSelect({ socket, event: listener.#watch.event, networkEvents: FD_ACCEPT });
    winsock.listen({ socket, backlog });
    undo.move();
    return listener;
  }

  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw this.#closedError();
    // Who has waited longer comes first.
    const connection = this.#waiting.length === 0 ? this.#take() : undefined;
    if (connection !== undefined) return connection;
    const waiter = Promise.withResolvers<Duplex>();
    this.#waiting.push(waiter);
    const abort = (): void => {
      const index = this.#waiting.indexOf(waiter);
      if (index !== -1) this.#waiting.splice(index, 1);
      waiter.reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await waiter.promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Connections that were accepted live on; Windows resets those that wait. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#winsock.closesocket({ socket: this.#socket });
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#closedError());
    await this.#watch[Symbol.asyncDispose]();
  }

  #acceptForWaiting(): void {
    try {
      while (this.#waiting.length > 0) {
        const connection = this.#take();
        if (connection === undefined) return;
        this.#waiting.shift()?.resolve(connection);
      }
    } catch (error) {
      for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
    }
  }

  /** The next connection; undefined when none is there, and then the event tells of the next. */
  #take(): Duplex | undefined {
    const { accept, closesocket, WSAEventSelect } = this.#winsock;
    for (;;) {
      let socket: SocketHandle;
      try {
        socket = accept({ socket: this.#socket, address: null, length: null });
      } catch (error) {
        const status = error instanceof DllCallError ? error.status : undefined;
        if (status === WSAEWOULDBLOCK) return undefined;
        // One that was reset before it was accepted is nobody's business.
        if (status === WSAECONNRESET) continue;
        throw socketError(`Cannot accept a connection on port ${this.port}`, error);
      }
      try {
        // It has the listener's event for its own.
        WSAEventSelect({ socket, networkEvents: 0 });
        return streamFromSocket(socket);
      } catch (error) {
        closesocket({ socket });
        throw error;
      }
    }
  }

  #closedError(): HcsError {
    return new HcsError({
      action: `Cannot accept a connection on port ${this.port}`,
      problem: 'the listener is closed',
      code: 'HCS_E_CONNECTION_CLOSED',
    });
  }
}
