/** Both ends of a connection for the tests: a server with its services, and peers that speak raw frames. */
import { once } from 'node:events';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { FrameDecoder, frameHeaderLength, writeFrameHeader } from '../frame.ts';
import { Story } from '../generated/story_pb.ts';
import type { ServerOptions, ServiceImplementation } from '../index.ts';
import { type Client, createClient, TtrpcConnection, TtrpcServer } from '../index.ts';

let sockets = 0;

/** A net.Server that listens on a socket of its own, one that leaves no file behind. */
export async function listen(): Promise<{ netServer: Server; path: string }> {
  const name = `hcsshim-ttrpc-${process.pid}-${sockets++}`;
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : `\0${name}`;
  const netServer = createServer().listen(path);
  await once(netServer, 'listening');
  return { netServer, path };
}

async function connect(path: string): Promise<Socket> {
  const socket = netConnect(path);
  await once(socket, 'connect');
  return socket;
}

export interface StoryServer extends AsyncDisposable {
  server: TtrpcServer;
  netServer: Server;
  /** A new connection of its own. */
  dial(): Promise<{ connection: TtrpcConnection; client: Client<typeof Story>; socket: Socket }>;
  dialRaw(): Promise<RawPeer>;
}

/** Serves the Story service; disposing closes the server and every connection. */
export async function serveStory(
  implementation: ServiceImplementation<typeof Story>,
  options?: ServerOptions,
): Promise<StoryServer> {
  const { netServer, path } = await listen();
  const server = new TtrpcServer(options);
  server.register(Story, implementation);
  server.listen(netServer);
  const resources = new AsyncDisposableStack();
  resources.defer(() => server.close());
  return {
    server,
    netServer,
    async dial() {
      const socket = await connect(path);
      const connection = resources.use(new TtrpcConnection(socket));
      return { connection, client: createClient(Story, connection), socket };
    },
    async dialRaw() {
      return resources.use(new RawPeer(await connect(path)));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A client whose server is a raw peer. */
export async function facePeer(
  options?: ConstructorParameters<typeof TtrpcConnection>[1],
): Promise<AsyncDisposable & { client: Client<typeof Story>; connection: TtrpcConnection; peer: RawPeer }> {
  const { netServer, path } = await listen();
  const accepted = once(netServer, 'connection') as Promise<[Socket]>;
  const connection = new TtrpcConnection(await connect(path), options);
  const peer = new RawPeer((await accepted)[0]);
  netServer.close();
  return {
    client: createClient(Story, connection),
    connection,
    peer,
    async [Symbol.asyncDispose]() {
      await connection.close();
      await peer[Symbol.asyncDispose]();
    },
  };
}

export interface RawFrame {
  streamId: number;
  type: number;
  flags: number;
  body: Buffer;
}

/** A peer that sends whatever bytes it is told to, and shows the frames it gets. */
export class RawPeer implements AsyncDisposable {
  readonly socket: Socket;
  readonly #frames: RawFrame[] = [];
  #waiting: PromiseWithResolvers<void> = Promise.withResolvers();
  #ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => {
      this.#waiting.resolve();
      this.#waiting = Promise.withResolvers();
    };
    const decoder = new FrameDecoder(
      {
        frame: (streamId, type, flags, body) => {
          this.#frames.push({ streamId, type, flags, body });
          wake();
        },
        oversized: (streamId, type) => {
          throw new Error(`a frame over the limit came on stream ${streamId}, type ${type}`);
        },
      },
      4 * 1024 * 1024,
    );
    socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      wake();
    });
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  sendFrame(streamId: number, type: number, flags: number, body: Uint8Array = new Uint8Array()): void {
    this.send(frame(streamId, type, flags, body));
  }

  /** The next frame, undefined when the connection is closed. */
  async next(): Promise<RawFrame | undefined> {
    while (this.#frames.length === 0 && !this.#ended) await this.#waiting.promise;
    return this.#frames.shift();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    if (!this.#ended) await once(this.socket, 'close');
  }
}

export function frame(streamId: number, type: number, flags: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(frameHeaderLength + body.length);
  writeFrameHeader(bytes, body.length, streamId, type, flags);
  bytes.set(body, frameHeaderLength);
  return bytes;
}

/** Bytes as a test writes them down: hex digits in groups, text in quotes. */
export function bytes(...parts: string[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      part.startsWith('"')
        ? Buffer.from(JSON.parse(part) as string)
        : Buffer.from(part.replaceAll(' ', ''), 'hex'),
    ),
  );
}
