import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnedContainer } from '../owned-container.ts';
import { type ContainerRecord, containerPaths } from './container-record.ts';
import { Channel, encodeFrame, encodeMessage, parseMessage, readFrames } from './frame.ts';
import { parseRequest, type Request } from './request.ts';

/** How long answers may take to be given when the container has ended. In milliseconds. */
const answerTimeout = 1_000;

/**
 * Makes a container known to other processes of the same user, and does for them what they ask: `hcsshim ps`
 * finds it, `hcsshim exec` and `hcsshim stop` reach it. Disposing withdraws it.
 */
export class ControlServer implements AsyncDisposable {
  readonly #container: OwnedContainer;
  readonly #directory: string;
  readonly #server: Server;
  readonly #connections = new Map<Socket, Promise<void>>();

  private constructor(container: OwnedContainer, directory: string) {
    this.#container = container;
    this.#directory = directory;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#connections.delete(socket));
      this.#connections.set(socket, this.#serve(socket));
    });
    // A container that has ended must not be kept by its control socket.
    this.#server.unref();
  }

  static async listen(container: OwnedContainer, record: ContainerRecord): Promise<ControlServer> {
    const paths = containerPaths(record.id);
    const directory = dirname(paths.record);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const server = new ControlServer(container, directory);
    try {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.#server.once('error', reject);
      server.#server.listen(paths.socket, resolve);
      await promise;
      await writeFile(paths.record, JSON.stringify(record), { mode: 0o600 });
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  async #serve(socket: Socket): Promise<void> {
    try {
      const frames = readFrames(socket);
      const first = await frames.next();
      if (first.done) return;
      const request = parseRequest(parseMessage(first.value));
      if (request.type === 'stop') await this.#container.stop(request);
      else await this.#exec(request, socket, frames);
      if (request.type === 'stop') socket.write(encodeMessage({ type: 'stopped' }));
    } catch (error) {
      socket.write(
        encodeMessage({ type: 'error', message: error instanceof Error ? error.message : String(error) }),
      );
    } finally {
      socket.end();
    }
  }

  async #exec(
    request: Extract<Request, { type: 'exec' }>,
    socket: Socket,
    frames: AsyncGenerator<{ channel: number; payload: Buffer }>,
  ): Promise<void> {
    const process = await this.#container.exec(request.process, { stdin: true, stdout: true, stderr: true });
    socket.write(encodeMessage({ type: 'started', pid: process.pid }));
    const outputs = Promise.all([
      pump(process.stdout, Channel.primary, socket),
      pump(process.stderr, Channel.stderr, socket),
    ]);
    const input = (async () => {
      for await (const frame of frames) {
        if (frame.channel === Channel.primary) {
          if (process.stdin?.write(frame.payload) === false) await drained(process.stdin);
          continue;
        }
        const message = parseMessage(frame);
        if (message.type === 'stdin-end') process.closeStdin();
        if (message.type === 'resize')
          await process.resize({ columns: Number(message.columns), rows: Number(message.rows) });
        if (message.type === 'signal') await process.kill(Number(message.signal));
      }
      process.closeStdin();
    })();
    // A client that is gone takes its process with it.
    const gone = input.then(
      () => {},
      () => process.kill(9),
    );
    socket.once('close', () => void process.kill(9).catch(() => {}));
    const exitCode = await process.wait();
    await outputs;
    socket.write(encodeMessage({ type: 'exit', exitCode }));
    gone.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    // Whoever stopped the container, or ran something in it, is waiting for the answer.
    await Promise.race([
      Promise.allSettled(this.#connections.values()),
      sleep(answerTimeout, undefined, { ref: false }),
    ]);
    for (const socket of this.#connections.keys()) socket.destroySoon();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function pump(source: Readable | undefined, channel: number, socket: Socket): Promise<void> {
  if (!source) return;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (!socket.write(encodeFrame(channel, chunk))) await drained(socket);
    }
  } catch {
    // The VM is gone, or the client: the exit code tells the one, nobody listens for the other.
  }
}

function drained(stream: NodeJS.WritableStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    stream.off('drain', done);
    stream.off('close', done);
    stream.off('error', done);
    resolve();
  };
  stream.on('drain', done);
  stream.on('close', done);
  stream.on('error', done);
  return promise;
}
