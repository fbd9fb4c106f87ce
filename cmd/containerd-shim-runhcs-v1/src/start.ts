import { spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { bundleFile, readAnnotations, shimGroup, writeBundleFile } from './bundle.ts';
import type { CommandLine } from './command-line.ts';
import { isListening, removeSocket, shimSocketPath } from './shim-socket.ts';

/**
 * Flags of the daemon's Node. By measurement a young generation of 1 MiB saves 2 MiB, and a collection when
 * nothing is going on 3 MiB. Warnings would open `process.stderr`, which blocks once containerd stops reading
 * the log; the daemon logs them itself.
 */
const daemonFlags = ['--no-warnings', '--max-semi-space-size=1', '--expose-gc'];

/**
 * glibc then gives buffers of a stream, 64 KiB each, back to the system when they are freed: after 100 MB of
 * output a shim holds 18 MiB instead of 60.
 */
const daemonEnvironment = { MALLOC_MMAP_THRESHOLD_: '65536' };

/**
 * The `start` verb: leaves a daemon behind that serves the container and returns its address, or the address
 * of the pod's shim. containerd takes all output as the address, so nothing else may be printed. A failure
 * leaves nothing behind. The caller must end by `process.exit`: a graceful end would unlink the socket.
 */
export async function start(command: CommandLine): Promise<string> {
  const group = shimGroup(command.id, readAnnotations(command.bundle));
  const path = shimSocketPath(command, group.id);
  const address = `unix://${path}`;
  if (group.joins && !(await isListening(path))) {
    throw new Error(
      `Cannot start container "${command.id}": the shim of its pod sandbox "${group.id}" is not running`,
    );
  }

  const server = group.joins ? undefined : await listen(path);
  if (!server) {
    writeBundleFile(command.bundle, bundleFile.address, address);
    return address;
  }
  try {
    writeBundleFile(command.bundle, bundleFile.address, address);
    const pid = spawnDaemon(command, path, server);
    writeBundleFile(command.bundle, bundleFile.shimPid, String(pid));
  } catch (error) {
    rmSync(join(command.bundle, bundleFile.address), { force: true });
    removeSocket(path);
    throw error;
  }
  return address;
}

/** Listens at `path`. Returns undefined when a living shim does so already; a dead one's socket is replaced. */
async function listen(path: string): Promise<Server | undefined> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (;;) {
    try {
      return await tryToListen(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
        throw new Error(`Cannot listen on the shim's socket "${path}": ${(cause as Error).message}`, {
          cause,
        });
      }
      if (await isListening(path)) return undefined;
      removeSocket(path);
    }
  }
}

function tryToListen(path: string): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const server = createServer();
  server.once('error', reject);
  server.listen(path, () => resolve(server));
  return promise;
}

/**
 * Starts `serve` with the listening socket as descriptor 3, so that it need not be ready yet: the backlog
 * keeps the first call. Its standard input is ours, where containerd put the runtime options; its output is
 * the bundle's log.
 */
function spawnDaemon(command: CommandLine, path: string, server: Server): number {
  const log = openLog(command.bundle);
  try {
    const child = spawn(
      process.execPath,
      [
        ...daemonFlags,
        process.argv[1] as string,
        ...['-namespace', command.namespace, '-address', command.address],
        ...['-publish-binary', command.publishBinary, '-id', command.id, '-bundle', command.bundle],
        ...(command.debug ? ['-debug'] : []),
        ...['-socket', path, 'serve'],
      ],
      {
        cwd: '/',
        detached: true,
        env: { ...process.env, ...daemonEnvironment },
        // A listening server's handle, as Node's cluster module hands it over; not in Node's documentation.
        stdio: ['inherit', log, log, (server as unknown as { _handle: never })._handle],
      },
    );
    if (child.pid === undefined) throw new Error(`Cannot start the shim's daemon "${process.execPath}"`);
    return child.pid;
  } finally {
    if (log !== 'ignore') closeSync(log);
  }
}

/** Read and write, as a FIFO without a reader cannot be opened for writing only. */
function openLog(bundle: string): number | 'ignore' {
  try {
    return openSync(join(bundle, bundleFile.log), constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'ignore';
    throw error;
  }
}

/** Prints the address: all that containerd may read from `start`. */
export function printAddress(address: string): void {
  writeSync(1, address);
}
