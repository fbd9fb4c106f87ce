import { setTimeout as sleep } from 'node:timers/promises';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { OciProcess } from '@hcsshim/schema';
import { TtrpcError } from '@hcsshim/ttrpc';
import type { EventPublisher } from './event-publisher.ts';
import {
  TaskDeleteSchema,
  TaskExecAddedSchema,
  TaskExecStartedSchema,
  TaskExitSchema,
  TaskPausedSchema,
  TaskResumedSchema,
  TaskStartSchema,
} from './generated/containerd/events/v1/task_events_pb.ts';
import { describeError, type Log } from './log.ts';
import { SIGKILL } from './signals.ts';
import type { ProcessStdio } from './stdio.ts';
import type { CallOptions, HostedContainer } from './task-host.ts';
import { type ProcessExit, type ProcessObserver, TaskProcess } from './task-process.ts';

/** What is left of the processes of a container that has ended gets this long. In milliseconds. */
const execPatience = 2_000;
/**
 * `delete` is answered after its event, but not much later: a containerd that takes no events would make it wait
 * for all retries. The event stays queued. In milliseconds.
 */
const eventPatience = 2_000;

const exitCodeOfKilled = 128 + SIGKILL;

export interface TaskOptions {
  id: string;
  bundle: string;
  container: HostedContainer;
  /** Streams of the first process. They are the task's from now on. */
  streams: ProcessStdio;
  events: EventPublisher;
  log: Log;
  /**
   * Patience with a container that is being released, and with one that was killed, as upstream has it. In
   * milliseconds. @default 30000
   */
  releaseTimeout?: number;
}

/**
 * A container as containerd sees it: its first process, its execs, and their events. Once the first process
 * has ended, however it did, the container is released; `delete` waits for that.
 */
export class Task implements ProcessObserver {
  readonly id: string;
  readonly bundle: string;
  readonly init: TaskProcess;
  readonly #container: HostedContainer;
  readonly #events: EventPublisher;
  readonly #log: Log;
  readonly #releaseTimeout: number;
  readonly #execs = new Map<string, { process: TaskProcess; spec: OciProcess }>();
  #paused = false;
  #released: Promise<void> | undefined;
  #deleted: Promise<void> | undefined;

  constructor({ id, bundle, container, streams, events, log, releaseTimeout = 30_000 }: TaskOptions) {
    this.id = id;
    this.bundle = bundle;
    this.#container = container;
    this.#events = events;
    this.#log = log;
    this.#releaseTimeout = releaseTimeout;
    this.init = new TaskProcess({
      label: `task "${id}"`,
      execId: '',
      pid: container.pid,
      streams,
      observer: this,
    });
    void container.lost.then((reason) => this.#lose(reason));
  }

  get paused(): boolean {
    return this.#paused;
  }

  get label(): string {
    return this.init.label;
  }

  /** The first process for an empty id, else an exec. Throws `NotFound`. */
  process(execId: string): TaskProcess {
    if (execId === '') return this.init;
    return this.#exec(execId).process;
  }

  /** Guest pid → exec id of the execs that run. */
  execIdsByPid(): Map<number, string> {
    const running = [...this.#execs.values()].filter(({ process }) => process.state === 'running');
    return new Map(running.map(({ process }) => [process.pid, process.execId]));
  }

  async start(execId: string): Promise<TaskProcess> {
    if (execId === '') {
      await this.init.start((stdio) => this.#container.start(stdio));
      return this.init;
    }
    const { process, spec } = this.#exec(execId);
    this.#requireRunning(`start ${process.label}`);
    await process.start((stdio) => this.#container.exec(spec, stdio));
    return process;
  }

  /** Makes an exec, which `start` starts. `openStreams` is called when nothing else can fail. */
  addExec(execId: string, spec: OciProcess, openStreams: (label: string) => ProcessStdio): void {
    const label = `process "${execId}" of task "${this.id}"`;
    if (this.#execs.has(execId)) {
      throw new TtrpcError('AlreadyExists', `Cannot create ${label}: it exists already`);
    }
    this.#requireRunning(`create ${label}`);
    const process = new TaskProcess({ label, execId, pid: 0, streams: openStreams(label), observer: this });
    this.#execs.set(execId, { process, spec });
    void this.#events.publish(TaskExecAddedSchema, { containerId: this.id, execId });
  }

  /** Forgets a process that has ended, or never started. The first process: all of the task, and twice is as once. */
  async delete(execId: string): Promise<TaskProcess> {
    const process = this.process(execId);
    process.requireDeletable();
    if (process === this.init) {
      this.#deleted ??= this.#awaitRelease().then(() => this.#announceDeletion(process));
      await this.#deleted;
      return process;
    }
    this.#execs.delete(execId);
    await this.#announceDeletion(process);
    return process;
  }

  async kill(
    execId: string,
    signal: number,
    { all, ...options }: CallOptions & { all: boolean },
  ): Promise<void> {
    if (execId !== '' && all) {
      throw new TtrpcError(
        'FailedPrecondition',
        `Cannot send signal ${signal} to process "${execId}" of task "${this.id}": with an exec id "all" makes no sense`,
      );
    }
    const process = this.process(execId);
    if (this.#paused && process.state === 'running') return this.#killPaused(process, signal);
    const send = async (): Promise<void> => {
      if (all) await this.#killExecs(signal, options);
      await process.kill(signal, options);
    };
    const canHang = process.state === 'running' || process.state === 'starting';
    if (process !== this.init || signal !== SIGKILL || !canHang) return send();
    // A guest that hangs does not answer; the end of its VM is as good.
    this.#expectEnd();
    await Promise.race([send(), this.init.wait()]);
  }

  async pause(options: CallOptions): Promise<void> {
    this.#requireRunning(`pause ${this.label}`);
    await this.#container.pause(options);
    this.#paused = true;
    void this.#events.publish(TaskPausedSchema, { containerId: this.id });
  }

  async resume(options: CallOptions): Promise<void> {
    if (!this.#paused) {
      throw new TtrpcError('FailedPrecondition', `Cannot resume ${this.label}: it is not paused`);
    }
    await this.#container.resume(options);
    this.#paused = false;
    void this.#events.publish(TaskResumedSchema, { containerId: this.id });
  }

  async processIds(options: CallOptions): Promise<number[]> {
    this.#requireRunning(`list the processes of ${this.label}`);
    return this.#container.processIds(options);
  }

  async statistics(options: CallOptions): Promise<unknown> {
    this.#requireRunning(`read the statistics of ${this.label}`);
    return this.#container.statistics(options);
  }

  async update(resources: Record<string, unknown>, options: CallOptions): Promise<void> {
    if (this.init.state === 'exited') this.#requireRunning(`update ${this.label}`);
    if (!this.#container.update) {
      throw new TtrpcError('Unimplemented', `Cannot update ${this.label}: its limits cannot be changed`);
    }
    await this.#container.update(resources, options);
  }

  started(process: TaskProcess): void {
    const event = { containerId: this.id, pid: process.pid };
    if (process === this.init) void this.#events.publish(TaskStartSchema, event);
    else void this.#events.publish(TaskExecStartedSchema, { ...event, execId: process.execId });
  }

  exited(process: TaskProcess, exit: ProcessExit): void {
    // An exec that never started has no end that anybody was told to expect.
    if (process === this.init || process.hosted) {
      void this.#events.publish(TaskExitSchema, {
        containerId: this.id,
        id: process.execId || this.id,
        pid: process.pid,
        exitStatus: exit.exitCode,
        exitedAt: timestampFromDate(exit.exitedAt),
      });
    }
    if (process === this.init) void this.#release();
  }

  lost(process: TaskProcess, error: unknown): void {
    this.#log.warning('exit code unknown', { process: process.label, error: describeError(error) });
  }

  /** Ends everything at once, for a shim that goes away. */
  async abandon(): Promise<void> {
    this.init.forceExit(exitCodeOfKilled);
    await this.#release();
  }

  #exec(execId: string): { process: TaskProcess; spec: OciProcess } {
    const exec = this.#execs.get(execId);
    if (exec) return exec;
    throw new TtrpcError('NotFound', `Cannot find process "${execId}" of task "${this.id}": there is none`);
  }

  #requireRunning(action: string): void {
    const { state } = this.init;
    if (state === 'running' && !this.#paused) return;
    throw new TtrpcError(
      'FailedPrecondition',
      `Cannot ${action}: the task is ${this.#paused ? 'paused' : state}, it must be running`,
    );
  }

  async #killExecs(signal: number, options: CallOptions): Promise<void> {
    for (const { process } of this.#execs.values()) {
      if (process.state !== 'running') continue;
      try {
        await process.kill(signal, options);
      } catch (error) {
        this.#log.warning('signal not delivered', { process: process.label, error: describeError(error) });
      }
    }
  }

  /** A frozen guest cannot deliver signals; the one that needs nobody's help is carried out from outside. */
  async #killPaused(process: TaskProcess, signal: number): Promise<void> {
    if (process !== this.init || signal !== SIGKILL) {
      throw new TtrpcError(
        'FailedPrecondition',
        `Cannot send signal ${signal} to ${process.label}: the task is paused, resume it first`,
      );
    }
    await this.abandon();
  }

  /** After SIGKILL the first process must end; when it does not, its VM does. */
  #expectEnd(): void {
    const ended = new AbortController();
    void this.init.wait().then(() => ended.abort());
    void sleep(this.#releaseTimeout, undefined, { signal: ended.signal, ref: false }).then(
      () => {
        this.#log.warning('killed task does not end, its VM is ended', { task: this.id });
        return this.abandon();
      },
      () => {},
    );
  }

  #lose(reason: string): void {
    if (this.init.state === 'exited') return;
    this.#log.warning('container lost', { task: this.id, reason });
    this.init.forceExit(exitCodeOfKilled);
  }

  async #announceDeletion(process: TaskProcess): Promise<void> {
    const published = this.#events.publish(TaskDeleteSchema, {
      containerId: this.id,
      id: process.execId,
      pid: process.pid,
      exitStatus: process.exitCode,
      exitedAt: timestampFromDate(process.exitedAt ?? new Date()),
    });
    await Promise.race([published, sleep(eventPatience, undefined, { ref: false })]);
  }

  async #awaitRelease(): Promise<void> {
    const released = await Promise.race([
      this.#release().then(() => true),
      sleep(this.#releaseTimeout, false, { ref: false }),
    ]);
    if (!released) this.#log.error('container not released in time', { task: this.id });
  }

  #release(): Promise<void> {
    this.#released ??= this.#endExecsAndContainer().catch((error) => {
      this.#log.error('container not released', { task: this.id, error: describeError(error) });
    });
    return this.#released;
  }

  async #endExecsAndContainer(): Promise<void> {
    this.#paused = false;
    const execs = [...this.#execs.values()].map(({ process }) => process);
    for (const process of execs) if (process.state === 'created') process.forceExit(1);
    const ended = Promise.all(execs.map((process) => process.wait()));
    await Promise.race([ended, sleep(execPatience, undefined, { ref: false })]);
    for (const process of execs) process.forceExit(1);
    await this.#container.delete();
  }
}
