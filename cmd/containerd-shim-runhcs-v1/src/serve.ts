import { setTimeout as sleep } from 'node:timers/promises';
import type { Any } from '@bufbuild/protobuf/wkt';
import { TtrpcServer } from '@hcsshim/ttrpc';
import { bundleFile, writeBundleFile } from './bundle.ts';
import type { CommandLine } from './command-line.ts';
import { encodeDeleteResponse } from './delete-response.ts';
import { EventPublisher } from './event-publisher.ts';
import { Task } from './generated/containerd/task/v2/task_pb.ts';
import { IdleWatch } from './idle-watch.ts';
import { describeError, type Log } from './log.ts';
import type { ShimSocket } from './open-shim.ts';
import { collectWhenQuiet } from './quiet-collection.ts';
import { readOptionsStream } from './runtime-options.ts';
import { isSystemRegistered, removeSocket } from './shim-socket.ts';
import type { TaskHost } from './task-host.ts';
import { TaskService } from './task-service.ts';

/** How long answers and events may take to leave before the shim ends without them. In milliseconds. */
const farewellTimeout = 30_000;
/** containerd has written the options long before the shim runs. In milliseconds. */
const optionsTimeout = 5_000;

export interface ServeOptions {
  socket: ShimSocket;
  log: Log;
  /** Is disposed of at the end. */
  host: TaskHost;
}

/** Serves the tasks of a container, or of a pod, until containerd asks for the end. */
export async function serve(command: CommandLine, { socket, log, host }: ServeOptions): Promise<void> {
  collectWhenQuiet();
  const startOptions = readStartOptions();
  const events = new EventPublisher({
    address: process.env.TTRPC_ADDRESS || `${command.address}.ttrpc`,
    namespace: command.namespace,
    log,
  });
  const server = new TtrpcServer();
  const service = new TaskService({ host, events, log, startOptions, onShutdown: (now) => stop(now) });
  server.register(Task, service);

  let stopping = false;
  const stop = (now: boolean): void => {
    if (now) process.exit(0);
    if (stopping) return;
    stopping = true;
    // From here on a new shim for the same container may listen.
    removeSocket(socket.path);
    void sayFarewell();
  };
  const sayFarewell = async (): Promise<void> => {
    setTimeout(() => process.exit(1), farewellTimeout).unref();
    await service.abandonTasks();
    await events.drained();
    // Before the connections close: then containerd asks.
    leaveDeleteResponse(command, service);
    await server.shutdown().catch((error) => log.warning('calls dropped', { error: describeError(error) }));
    await host[Symbol.asyncDispose]();
    log.info('shim ended');
    process.exit(0);
  };
  process.on('SIGTERM', () => stop(false));
  process.on('SIGINT', () => stop(false));

  const idle = new IdleWatch(
    () => service.isEmpty,
    () => stop(false),
  );
  socket.server.on('connection', (connection) => idle.watch(connection));
  server.listen(socket.server);
  socket.handOver();
}

/**
 * Spares containerd the `delete` verb's own process when there is nothing to clean up: the launcher then answers
 * with this file. A task that containerd has not deleted is not answered for.
 */
function leaveDeleteResponse({ id, bundle }: CommandLine, service: TaskService): void {
  const task = service.lastDeleted;
  if (!service.isEmpty || task?.id !== id || isSystemRegistered(id)) return;
  try {
    writeBundleFile(bundle, bundleFile.deleteResponse, encodeDeleteResponse(task));
  } catch {
    // The bundle is gone already.
  }
}

/** Whoever starts a shim by hand may leave its input open: then there are no options. */
function readStartOptions(): Promise<Any | undefined> {
  const reading = readOptionsStream(process.stdin);
  const options = Promise.race([reading, sleep(optionsTimeout, undefined, { ref: false })]);
  options.catch(() => {});
  return options;
}
