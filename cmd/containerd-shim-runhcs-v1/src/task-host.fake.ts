import { PassThrough } from 'node:stream';
import type { OciProcess } from '@hcsshim/schema';
import type {
  CallOptions,
  ContainerRequest,
  HostedContainer,
  HostedProcess,
  StdioRequest,
  TaskHost,
} from './task-host.ts';

/** A process that ends when a test says so. */
export class FakeProcess implements HostedProcess {
  readonly pid: number;
  readonly spec: OciProcess | undefined;
  readonly stdio: StdioRequest;
  readonly stdout: PassThrough | undefined;
  readonly signals: number[] = [];
  readonly sizes: { columns: number; rows: number }[] = [];
  readonly #exit = Promise.withResolvers<number>();
  #ended = false;

  constructor(pid: number, stdio: StdioRequest, spec?: OciProcess) {
    this.pid = pid;
    this.stdio = stdio;
    this.spec = spec;
    if (stdio.stdout) this.stdout = new PassThrough();
    this.#exit.promise.catch(() => {});
  }

  exit(code: number): void {
    this.#ended = true;
    this.stdout?.end();
    this.#exit.resolve(code);
  }

  vanish(): void {
    this.#ended = true;
    this.#exit.reject(new Error('the connection to the guest is gone'));
  }

  wait(): Promise<number> {
    return this.#exit.promise;
  }

  async kill(signal: number): Promise<boolean> {
    if (this.#ended) return false;
    this.signals.push(signal);
    return true;
  }

  async resize(size: { columns: number; rows: number }): Promise<void> {
    this.sizes.push(size);
  }
}

/** A container whose host is a test: it records what it is asked, and fails where the test wants it to. */
export class FakeContainer implements HostedContainer {
  readonly pid = 4242;
  readonly request: ContainerRequest;
  readonly processes: FakeProcess[] = [];
  readonly calls: string[] = [];
  readonly updates: Record<string, unknown>[] = [];
  readonly #lost = Promise.withResolvers<string>();
  readonly #deleted = Promise.withResolvers<void>();
  /** The next start or exec fails with it. */
  failure: Error | undefined;
  /** Called before a process is started; may wait. */
  onLaunch: () => Promise<void> = async () => {};
  metrics: unknown = {};

  constructor(request: ContainerRequest) {
    this.request = request;
  }

  get lost(): Promise<string> {
    return this.#lost.promise;
  }

  get deleted(): Promise<void> {
    return this.#deleted.promise;
  }

  get init(): FakeProcess {
    return this.process(0);
  }

  process(index: number): FakeProcess {
    const process = this.processes[index];
    if (!process) throw new Error(`No process ${index} has been started`);
    return process;
  }

  lose(reason: string): void {
    this.#lost.resolve(reason);
  }

  async start(stdio: StdioRequest): Promise<HostedProcess> {
    return this.#launch(stdio);
  }

  async exec(spec: OciProcess, stdio: StdioRequest): Promise<HostedProcess> {
    return this.#launch(stdio, spec);
  }

  async pause(): Promise<void> {
    this.calls.push('pause');
  }

  async resume(): Promise<void> {
    this.calls.push('resume');
  }

  async processIds(): Promise<number[]> {
    return this.processes.map(({ pid }) => pid);
  }

  async statistics(): Promise<unknown> {
    return this.metrics;
  }

  async update(resources: Record<string, unknown>): Promise<void> {
    this.updates.push(resources);
  }

  async delete(): Promise<void> {
    this.calls.push('delete');
    this.#deleted.resolve();
  }

  async #launch(stdio: StdioRequest, spec?: OciProcess): Promise<FakeProcess> {
    await this.onLaunch();
    const { failure } = this;
    this.failure = undefined;
    if (failure) throw failure;
    const process = new FakeProcess(7 + this.processes.length, stdio, spec);
    this.processes.push(process);
    return process;
  }
}

export class FakeHost implements TaskHost {
  readonly containers: FakeContainer[] = [];
  /** Ids of the containers that will not come. */
  readonly forgotten: string[] = [];
  failure: Error | undefined;
  /** Called before a container is made; may wait. */
  onCreate: (signal: AbortSignal | undefined) => Promise<void> = async () => {};

  get container(): FakeContainer {
    const container = this.containers.at(-1);
    if (!container) throw new Error('No container has been created');
    return container;
  }

  async create(request: ContainerRequest, { signal }: CallOptions): Promise<HostedContainer> {
    await this.onCreate(signal);
    if (this.failure) throw this.failure;
    const container = new FakeContainer(request);
    this.containers.push(container);
    return container;
  }

  async forget(id: string): Promise<void> {
    this.forgotten.push(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
