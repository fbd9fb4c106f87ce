import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Any, AnySchema, anyPack, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { TtrpcError } from '@hcsshim/ttrpc';
import { bundleFile } from './bundle.ts';
import type { DeadTask } from './delete-response.ts';
import type { EventPublisher } from './event-publisher.ts';
import { TaskCreateSchema } from './generated/containerd/events/v1/task_events_pb.ts';
import type {
  CloseIORequest,
  ConnectRequest,
  ConnectResponseSchema,
  CreateTaskRequest,
  CreateTaskResponseSchema,
  DeleteRequest,
  DeleteResponseSchema,
  ExecProcessRequest,
  KillRequest,
  PauseRequest,
  PidsRequest,
  PidsResponseSchema,
  ResizePtyRequest,
  ResumeRequest,
  ShutdownRequest,
  StartRequest,
  StartResponseSchema,
  StateRequest,
  StateResponseSchema,
  StatsRequest,
  StatsResponseSchema,
  UpdateTaskRequest,
  WaitRequest,
  WaitResponseSchema,
} from './generated/containerd/task/v2/task_pb.ts';
import { Status } from './generated/containerd/types/task_pb.ts';
import { describeError, type Log } from './log.ts';
import { parseProcess, parseResources, readSpec } from './oci-document.ts';
import { parseRuntimeOptions, type RuntimeOptions } from './runtime-options.ts';
import { ProcessStdio } from './stdio.ts';
import { Task } from './task.ts';
import { taskError } from './task-error.ts';
import type { CallOptions, TaskHost } from './task-host.ts';
import type { TaskProcess } from './task-process.ts';

export interface TaskServiceOptions {
  host: TaskHost;
  events: EventPublisher;
  log: Log;
  /** The options that came with `start`, for a Create request that has none. */
  startOptions: Promise<Any | undefined>;
  /** Called when containerd asks for the shim's end and no task is left, or when it must not wait. */
  onShutdown: (now: boolean) => void;
}

export interface DeletedTask extends DeadTask {
  id: string;
}

type Empty = Record<string, never>;

/**
 * `containerd.task.v2.Task`: each call is looked up in the tasks, carried out, and answered; how a task
 * behaves is in `task.ts`.
 */
export class TaskService {
  readonly #options: TaskServiceOptions;
  /** Undefined while the container is being made. */
  readonly #tasks = new Map<string, Task | undefined>();
  readonly #creations = new Set<Promise<Task>>();
  /** Aborts once the shim is going away. */
  readonly #abandoning = new AbortController();
  #lastDeleted: DeletedTask | undefined;

  constructor(options: TaskServiceOptions) {
    this.#options = options;
  }

  /** True when there is no task, nor one in the making. */
  get isEmpty(): boolean {
    return this.#tasks.size === 0;
  }

  /** The task that containerd deleted last. */
  get lastDeleted(): DeletedTask | undefined {
    return this.#lastDeleted;
  }

  async create(
    request: CreateTaskRequest,
    options: CallOptions,
  ): Promise<MessageInitShape<typeof CreateTaskResponseSchema>> {
    const { id } = request;
    const { log } = this.#options;
    if (id === '') throw new TtrpcError('InvalidArgument', 'Cannot create a task: its id is empty');
    if (this.#abandoning.signal.aborted) throw shimEnds(id);
    if (this.#tasks.has(id)) {
      throw new TtrpcError('AlreadyExists', `Cannot create task "${id}": it exists already`);
    }
    if (request.checkpoint !== '') {
      throw new TtrpcError('Unimplemented', `Cannot create task "${id}": checkpoints are not supported`);
    }
    this.#tasks.set(id, undefined);
    const { signal: abandoned } = this.#abandoning;
    const signal = options.signal ? AbortSignal.any([options.signal, abandoned]) : abandoned;
    const creation = this.#createTask(request, signal);
    this.#creations.add(creation);
    try {
      const task = await creation;
      this.#tasks.set(id, task);
      void this.#options.events.publish(TaskCreateSchema, {
        containerId: id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: task.init.stdio,
        checkpoint: request.checkpoint,
        pid: task.init.pid,
      });
      return { pid: task.init.pid };
    } catch (error) {
      await this.#options.host
        .forget(id)
        .catch((failure) => log.warning('expected container not ended', { error: describeError(failure) }));
      this.#tasks.delete(id);
      throw abandoned.aborted ? shimEnds(id, error) : taskError(error);
    } finally {
      this.#creations.delete(creation);
    }
  }

  async start({ id, execId }: StartRequest): Promise<MessageInitShape<typeof StartResponseSchema>> {
    const task = this.#task(id);
    const { pid } = await rejectsWithTaskError(task.start(execId));
    return { pid };
  }

  async state({ id, execId }: StateRequest): Promise<MessageInitShape<typeof StateResponseSchema>> {
    const task = this.#task(id);
    const process = task.process(execId);
    return {
      id: task.id,
      execId: process.execId,
      bundle: task.bundle,
      pid: process.pid,
      status: statusOf(task, process),
      ...process.stdio,
      exitStatus: process.exitCode,
      ...(process.exitedAt ? { exitedAt: timestampFromDate(process.exitedAt) } : {}),
    };
  }

  async delete({ id, execId }: DeleteRequest): Promise<MessageInitShape<typeof DeleteResponseSchema>> {
    const task = this.#task(id);
    const process = await rejectsWithTaskError(task.delete(execId));
    const { pid, exitCode: exitStatus, exitedAt = new Date() } = process;
    // Of two deletes at once the first may have made room for a new task already.
    if (execId === '' && this.#tasks.get(id) === task) {
      this.#tasks.delete(id);
      this.#lastDeleted = { id, pid, exitStatus, exitedAt };
    }
    return { pid, exitStatus, exitedAt: timestampFromDate(exitedAt) };
  }

  async pids(
    { id }: PidsRequest,
    options: CallOptions,
  ): Promise<MessageInitShape<typeof PidsResponseSchema>> {
    const task = this.#task(id);
    const pids = await rejectsWithTaskError(task.processIds(options));
    const { ProcessDetailsSchema } = await import('./generated/containerd/runc/v1/process_details_pb.ts');
    const execIds = task.execIdsByPid();
    return {
      processes: pids.map((guestPid) => {
        // containerd knows the first process by the pid that Create answered.
        const pid = guestPid === task.init.hosted?.pid ? task.init.pid : guestPid;
        const execId = execIds.get(guestPid);
        if (execId === undefined) return { pid };
        // Upstream's own details type is unknown to Linux builds of ctr, which refuse to list it.
        return {
          pid,
          info: packForContainerd(anyPack(ProcessDetailsSchema, create(ProcessDetailsSchema, { execId }))),
        };
      }),
    };
  }

  async pause({ id }: PauseRequest, options: CallOptions): Promise<Empty> {
    await rejectsWithTaskError(this.#task(id).pause(options));
    return {};
  }

  async resume({ id }: ResumeRequest, options: CallOptions): Promise<Empty> {
    await rejectsWithTaskError(this.#task(id).resume(options));
    return {};
  }

  async checkpoint(): Promise<Empty> {
    throw new TtrpcError('Unimplemented', 'Cannot checkpoint a task: checkpoints are not supported');
  }

  async kill({ id, execId, signal, all }: KillRequest, options: CallOptions): Promise<Empty> {
    await rejectsWithTaskError(this.#task(id).kill(execId, signal, { ...options, all }));
    return {};
  }

  async exec({ id, execId, spec, ...stdio }: ExecProcessRequest): Promise<Empty> {
    const task = this.#task(id);
    if (execId === '') {
      throw new TtrpcError(
        'InvalidArgument',
        `Cannot create a process of task "${id}": its exec id is empty`,
      );
    }
    const process = parseProcess(spec?.value, `process "${execId}" of task "${id}"`);
    task.addExec(
      execId,
      { ...process, terminal: stdio.terminal },
      (label) => new ProcessStdio(pickStdio(stdio), label),
    );
    return {};
  }

  async resizePty({ id, execId, width, height }: ResizePtyRequest, options: CallOptions): Promise<Empty> {
    const process = this.#task(id).process(execId);
    await rejectsWithTaskError(process.resize({ columns: width, rows: height }, options));
    return {};
  }

  async closeIO({ id, execId }: CloseIORequest): Promise<Empty> {
    this.#task(id).process(execId).closeStdin();
    return {};
  }

  async update({ id, resources }: UpdateTaskRequest, options: CallOptions): Promise<Empty> {
    const task = this.#task(id);
    await rejectsWithTaskError(task.update(parseResources(resources?.value, task.label), options));
    return {};
  }

  async wait(
    { id, execId }: WaitRequest,
    options: CallOptions,
  ): Promise<MessageInitShape<typeof WaitResponseSchema>> {
    const { exitCode, exitedAt } = await this.#task(id).process(execId).wait(options);
    return { exitStatus: exitCode, exitedAt: timestampFromDate(exitedAt) };
  }

  async stats(
    { id }: StatsRequest,
    options: CallOptions,
  ): Promise<MessageInitShape<typeof StatsResponseSchema>> {
    const statistics = await rejectsWithTaskError(this.#task(id).statistics(options));
    const { metricsFromJson } = await import('./metrics.ts');
    const { MetricsSchema } = await import('./generated/containerd/cgroups/v1/metrics_pb.ts');
    return { stats: packForContainerd(anyPack(MetricsSchema, metricsFromJson(statistics))) };
  }

  async connect({ id }: ConnectRequest): Promise<MessageInitShape<typeof ConnectResponseSchema>> {
    return { shimPid: process.pid, taskPid: this.#task(id).init.pid, version: '' };
  }

  async shutdown({ now }: ShutdownRequest): Promise<Empty> {
    if (now || this.isEmpty) this.#options.onShutdown(now);
    return {};
  }

  /** Ends all tasks at once, also those in the making. There are no new ones from here on. */
  async abandonTasks(): Promise<void> {
    this.#abandoning.abort();
    const ends = [...this.#tasks.values()].map((task) => task?.abandon());
    const undone = [...this.#creations].map((creation) =>
      creation.then(
        (task) => task.abandon(),
        () => {},
      ),
    );
    await Promise.all([...ends, ...undone]);
  }

  async #createTask(request: CreateTaskRequest, signal: AbortSignal): Promise<Task> {
    const { id, bundle } = request;
    const { host, events, log, startOptions } = this.#options;
    using undo = new DisposableStack();
    const streams = undo.use(new ProcessStdio(pickStdio(request), `task "${id}"`));
    const runtimeOptions = await parseRuntimeOptions(request.options ?? (await startOptions));
    if (runtimeOptions.logLevel) log.level = runtimeOptions.logLevel;
    const spec = withDefaults(await readSpec(bundle), runtimeOptions);
    signal.throwIfAborted();
    const container = await host.create(
      {
        id,
        bundle,
        spec: spec.process ? { ...spec, process: { ...spec.process, terminal: request.terminal } } : spec,
        rootfs: request.rootfs.map(({ type, source, options }) => ({ type, source, options })),
      },
      { signal },
    );
    await writeFile(join(bundle, bundleFile.initPid), String(container.pid)).catch((error) =>
      log.warning('pid file not written', { error: error.message }),
    );
    undo.move();
    return new Task({ id, bundle, container, streams, events, log });
  }

  #task(id: string): Task {
    const task = this.#tasks.get(id);
    if (task) return task;
    const problem = this.#tasks.has(id) ? 'it is still being created' : 'there is none';
    throw new TtrpcError('NotFound', `Cannot find task "${id}": ${problem}`);
  }
}

function withDefaults<S extends { annotations?: Record<string, string> }>(
  spec: S,
  { annotations }: RuntimeOptions,
): S {
  return { ...spec, annotations: { ...annotations, ...spec.annotations } };
}

function pickStdio({ stdin, stdout, stderr, terminal }: ProcessStdio['paths']): ProcessStdio['paths'] {
  return { stdin, stdout, stderr, terminal };
}

function statusOf(task: Task, process: TaskProcess): Status {
  switch (process.state) {
    case 'created':
    case 'starting':
      return Status.CREATED;
    case 'running':
      return task.paused ? Status.PAUSED : Status.RUNNING;
    case 'exited':
      return Status.STOPPED;
  }
}

/** containerd's typeurl package knows its own messages by their bare names. */
function packForContainerd({ typeUrl, value }: Any): Any {
  return create(AnySchema, { typeUrl: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value });
}

function shimEnds(id: string, cause?: unknown): TtrpcError {
  return new TtrpcError('Unavailable', `Cannot create task "${id}": the shim is ending`, { cause });
}

async function rejectsWithTaskError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw taskError(error);
  }
}
