import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HvListener, HvSocket } from '@hcsshim/bridge';
import { LineChannel } from '../../packages/engine/src/line-channel.ts';

type Request = { connect: string; port: number } | { listen: string; port: number; to: number };

/** What Windows answers with to what the hvsockets of Linux say. */
const winsockCodes: Record<string, number> = {
  ECONNREFUSED: 10061,
  HCS_E_SYSTEM_NOT_FOUND: 10049,
  ERROR_ALREADY_EXISTS: 10048,
  EADDRINUSE: 10048,
  ERROR_NOT_SUPPORTED: 10045,
};
const networkDown = 10050;

/**
 * The other end of the stand-in for Winsock: what a program under Wine does with AF_HYPERV happens with `sockets`.
 * The protocol is written down in `stand-in/hvsocket.c`.
 */
export class HvSocketService implements AsyncDisposable {
  readonly #sockets: HvSocket;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(sockets: HvSocket) {
    this.#sockets = sockets;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  static async start(sockets: HvSocket): Promise<HvSocketService> {
    const service = new HvSocketService(sockets);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    service.#server.once('error', reject);
    service.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return service;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #accept(socket: Socket): void {
    const gone = new AbortController();
    this.#keep(socket);
    socket.once('close', () => gone.abort());
    const channel = new LineChannel(socket, async (line) => {
      channel.release();
      const request = line as Request;
      try {
        if ('connect' in request) {
          const stream = await this.#sockets.connect(request.connect, request.port, { signal: gone.signal });
          channel.send({ error: 0 });
          tunnel(socket, stream);
        } else {
          const listener = await this.#sockets.listen(request.listen, request.port);
          channel.send({ error: 0 });
          void this.#serve(socket, listener, request.to, gone.signal);
        }
      } catch (error) {
        const { code = '' } = error as { code?: string };
        channel.send({ error: winsockCodes[code] ?? networkDown });
        socket.end();
        socket.resume();
      }
    });
  }

  async #serve(link: Socket, listener: HvListener, to: number, signal: AbortSignal): Promise<void> {
    await using _ = listener;
    // The program says nothing here, but ends the line with its listener.
    link.once('end', () => link.destroy());
    link.resume();
    try {
      for (;;) {
        const stream = await listener.accept({ signal });
        const socket = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true });
        this.#keep(socket);
        tunnel(socket, stream);
        // One after the other, so that they arrive in order.
        await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
      }
    } catch {
      // The listener has ended on one side or the other.
      link.destroy();
    }
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(socket));
  }
}

/** Bytes and ends go both ways; what breaks one breaks the other. */
function tunnel(socket: Socket, stream: Duplex): void {
  stream.on('error', () => socket.resetAndDestroy());
  stream.once('close', () => socket.destroySoon());
  socket.once('close', () => stream.destroy());
  socket.pipe(stream).pipe(socket);
}
