import { chmod, rename, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { thisProcess } from '@hcsshim/engine/private-state';
import { HcsError } from '@hcsshim/hcs';
import type { OwnedContainer } from '../owned-container.ts';
import {
  type ContainerPaths,
  type ContainerRecord,
  containerPaths,
  makeContainerDirectory,
  readOrRemove,
  removeContainerDirectory,
  type StoredRecord,
} from './container-record.ts';
import { Channel, encodeFrame, encodeMessage, parseMessage, readFrames } from './frame.ts';
import { parseRequest, type Request } from './request.ts';

/** How long answers may take to be given when the container has ended. In milliseconds. */
const answerTimeout = 1_000;
/** How long an owner that ends may take to give its name free. In milliseconds. */
const publishTimeout = 10_000;
const publishInterval = 20;

/** What other processes may do with a container. */
export type ControlledContainer = Pick<OwnedContainer, 'exec' | 'stop'>;

/**
 * Makes a container known to other processes of the same user, and does for them what they ask: `hcsshim ps`
 * finds it, `hcsshim exec` and `hcsshim stop` reach it. Disposing withdraws it.
 */
export class ControlServer implements AsyncDisposable {
  readonly #container: ControlledContainer;
  #paths: ContainerPaths;
  readonly #server: Server;
  readonly #connections = new Map<Socket, Promise<void>>();

  private constructor(container: ControlledContainer, paths: ContainerPaths) {
    this.#container = container;
    this.#paths = paths;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#connections.delete(socket));
      this.#connections.set(socket, this.#serve(socket));
    });
    // A container that has ended must not be kept by its control socket.
    this.#server.unref();
  }

  static async listen(container: ControlledContainer, record: ContainerRecord): Promise<ControlServer> {
    const draft = await makeContainerDirectory();
    const server = new ControlServer(container, draft);
    try {
      const stored: StoredRecord = { ...record, process: thisProcess() };
      await writeFile(draft.record, JSON.stringify(stored), { mode: 0o600 });
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.#server.once('error', reject);
      server.#server.listen(draft.socket, resolve);
      await promise;
      await chmod(draft.socket, 0o600);
      await server.#publish(record.id);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** Gives the directory the container's name, in the place of what a dead owner left there. */
  async #publish(id: string): Promise<void> {
    const paths = containerPaths(id);
    const deadline = Date.now() + publishTimeout;
    for (;;) {
      try {
        await rename(this.#paths.directory, paths.directory);
        this.#paths = paths;
        return;
      } catch (error) {
        if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
      const other = await readOrRemove(paths);
      if (other || Date.now() > deadline) {
        throw new HcsError({
          action: `Cannot make container "${id}" known`,
          problem: `${other ? `process ${other.owner}` : 'another process'} owns a container with this id, choose another`,
          code: 'HCS_E_SYSTEM_ALREADY_EXISTS',
        });
      }
      await sleep(publishInterval);
    }
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
    // First, as whoever finds the name may count on being answered.
    await removeContainerDirectory(this.#paths);
    this.#server.close();
    // Whoever stopped the container, or ran something in it, is waiting for the answer.
    await Promise.race([
      Promise.allSettled(this.#connections.values()),
      sleep(answerTimeout, undefined, { ref: false }),
    ]);
    for (const socket of this.#connections.keys()) socket.destroySoon();
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
