import { chmodSync, closeSync, constants, linkSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { bundleFile, readAnnotations, shimGroup, writeBundleFile } from './bundle.ts';
import type { CommandLine } from './command-line.ts';
import { isListening, removeSocket, shimSocketPath } from './shim-socket.ts';

/** Where a shim listens. */
export class ShimSocket {
  readonly server: Server;
  readonly path: string;
  readonly #early: Socket[] = [];
  readonly #keep = (connection: Socket): void => void this.#early.push(connection);

  constructor(server: Server, path: string) {
    this.server = server.on('connection', this.#keep);
    this.path = path;
  }

  /** From here on the server's listeners get its connections, first those that came while there were none. */
  handOver(): void {
    this.server.off('connection', this.#keep);
    for (const connection of this.#early.splice(0)) this.server.emit('connection', connection);
  }
}

/** A shim that listens, and does not serve yet. */
export interface OpenShim {
  socket: ShimSocket;
  /** Of the bundle's `config.json`, as they are now. */
  annotations: Record<string, string>;
}

/**
 * The first half of `start`: opens the shim's socket, prints its address and lets go of the outputs, for whose
 * end containerd waits. containerd takes all output as the address, so nothing else may be printed. The
 * container of a pod gets the address of the pod's shim: then nothing is to be served, and the result is
 * undefined. A failure leaves nothing behind.
 */
export async function openShim(command: CommandLine): Promise<OpenShim | undefined> {
  const { id, bundle } = command;
  const annotations = readAnnotations(bundle);
  const group = shimGroup(id, annotations);
  const path = shimSocketPath(command, group.id);
  const address = `unix://${path}`;
  if (group.joins && !(await isListening(path))) {
    throw new Error(
      `Cannot start container "${id}": the shim of its pod sandbox "${group.id}" is not running`,
    );
  }

  const socket = group.joins ? undefined : await listen(path);
  try {
    rmSync(join(bundle, bundleFile.deleteResponse), { force: true });
    writeBundleFile(bundle, bundleFile.address, address);
    if (socket) writeBundleFile(bundle, bundleFile.shimPid, String(process.pid));
  } catch (error) {
    rmSync(join(bundle, bundleFile.address), { force: true });
    if (socket) removeSocket(path);
    throw error;
  }
  process.chdir('/');
  writeSync(1, address);
  releaseOutputs(bundle);
  return socket && { socket, annotations };
}

/** Listens at `path`. Returns undefined when a living shim does so already; a dead one's socket is replaced. */
async function listen(path: string): Promise<ShimSocket | undefined> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (;;) {
    try {
      return await tryToListen(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new Error(`Cannot listen on the shim's socket "${path}": ${(cause as Error).message}`, {
          cause,
        });
      }
      if (await isListening(path)) return undefined;
      removeSocket(path);
    }
  }
}

/**
 * Listens under another name first: a server removes the name that it was given when it is closed, and by then
 * a later shim may listen at `path`.
 */
async function tryToListen(path: string): Promise<ShimSocket> {
  const draft = join(dirname(path), `.${process.pid}`);
  removeSocket(draft);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const server = createServer();
  server.once('error', reject);
  server.listen(draft, resolve);
  await promise;
  try {
    chmodSync(draft, 0o600);
    linkSync(draft, path);
    return new ShimSocket(server, path);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    removeSocket(draft);
  }
}

/**
 * Exchanges standard output and error for the bundle's log, so that what Node says of a crash gets there. Each
 * is opened right after it was closed, and so gets the same number.
 */
function releaseOutputs(bundle: string): void {
  for (const fd of [1, 2]) {
    closeSync(fd);
    openLog(bundle);
  }
}

/** Read and write, as a FIFO without a reader cannot be opened for writing only. */
function openLog(bundle: string): number {
  try {
    return openSync(join(bundle, bundleFile.log), constants.O_RDWR | constants.O_NONBLOCK);
  } catch {
    return openSync('/dev/null', constants.O_RDWR);
  }
}
