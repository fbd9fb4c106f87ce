import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createConnection, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createRegistry, fromBinary, type Message } from '@bufbuild/protobuf';
import { type Client, createClient, TtrpcConnection } from '@hcsshim/ttrpc';
import {
  cacheDirectory,
  defaultProcess,
  defaultSpec,
  type EngineName,
  type OciProcess,
  type OciSpec,
} from 'hcsshim';
import { EventSink } from '../../cmd/containerd-shim-runhcs-v1/src/containerd.fake.ts';
import { file_containerd_events_v1_task_events } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/events/v1/task_events_pb.ts';
import { Task } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/task/v2/task_pb.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { programs } from '../../setup/prepare.ts';

/** Names under which the containers' busybox is found on their PATH. */
const applets = ['cat', 'echo', 'false', 'kill', 'ls', 'sh', 'sleep', 'stty', 'true', 'tty'];

export interface ShimStageOptions {
  engine: EngineName;
  /** More environment for the shims. */
  environment?: Record<string, string>;
}

export interface Outcome {
  exitCode: number;
  stdout: Buffer;
  stderr: string;
}

export interface BundleOptions {
  args?: string[];
  terminal?: boolean;
  /** Changes the spec before it is written. */
  edit?: (spec: OciSpec) => void;
}

/** An event as containerd would have decoded it. */
export interface TaskEvent {
  topic: string;
  namespace: string;
  message: Message & Record<string, unknown>;
}

const registry = createRegistry(file_containerd_events_v1_task_events);

/**
 * All that a shim has around it when there is no containerd: bundles, a state directory, somebody who takes its
 * events. Shims that a test leaves are killed, then what they left is cleaned up with their `delete` verb.
 */
export class ShimStage implements AsyncDisposable {
  static readonly namespace = 'stage';
  readonly directory: string;
  readonly state: string;
  readonly events: EventSink;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #ids: string[] = [];
  readonly #connections = new AsyncDisposableStack();

  private constructor(directory: string, events: EventSink, options: ShimStageOptions) {
    this.directory = directory;
    this.state = join(directory, 'state');
    this.events = events;
    this.#environment = {
      ...process.env,
      HCSSHIM_STATE: this.state,
      HCSSHIM_ENGINE: options.engine,
      HCSSHIM_CACHE: join(directory, 'cache'),
      TTRPC_ADDRESS: events.address,
      ...options.environment,
    };
  }

  static async open(options: ShimStageOptions): Promise<ShimStage> {
    const directory = await mkdtemp(join(tmpdir(), 'hcsshim-stage-'));
    await borrowCache(join(directory, 'cache'));
    return new ShimStage(directory, await EventSink.open(), options);
  }

  bundlePath(id: string): string {
    return join(this.directory, 'bundles', id);
  }

  /** Writes a bundle by hand, with the FIFO for the log that containerd makes. */
  async makeBundle(id: string, options: BundleOptions = {}): Promise<string> {
    const bundle = this.bundlePath(id);
    const bin = join(bundle, 'rootfs/bin');
    await mkdir(bin, { recursive: true });
    await cp('/bin/busybox', join(bin, 'busybox'));
    for (const name of applets) await symlink('busybox', join(bin, name));
    for (const name of ['dev', 'proc', 'sys', 'run', 'tmp']) await mkdir(join(bundle, 'rootfs', name));
    const spec = defaultSpec(
      {},
      { args: options.args ?? ['sleep', '1000'], ...(options.terminal ? { terminal: terminalSize } : {}) },
    );
    options.edit?.(spec);
    await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
    await promisify(execFile)('mkfifo', [join(bundle, 'log')]);
    return bundle;
  }

  /** Runs the shim as containerd does. Its log FIFO is drained, as containerd would. */
  async run(verb: 'start' | 'delete', id: string, input?: Uint8Array): Promise<Outcome> {
    const bundle = this.bundlePath(id);
    const flags = [
      ...['-namespace', ShimStage.namespace, '-address', join(this.directory, 'containerd.sock')],
      ...['-publish-binary', '/bin/false', '-id', id],
      ...(verb === 'delete' ? ['-bundle', bundle] : []),
    ];
    const child = spawn(join(programs, 'containerd-shim-runhcs-v1'), [...flags, verb], {
      cwd: existsSync(bundle) ? bundle : this.directory,
      env: this.#environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    if (verb === 'start') this.#ids.push(id);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { exitCode: code ?? -1, stdout: Buffer.concat(stdout), stderr };
  }

  /** Makes a bundle, starts its shim and connects to it. */
  async start(id: string, options: BundleOptions = {}): Promise<Shim> {
    const bundle = await this.makeBundle(id, options);
    const log = this.#connections.use(new LogReader(join(bundle, 'log')));
    const { exitCode, stdout, stderr } = await this.run('start', id);
    if (exitCode !== 0) throw new Error(`The shim does not start: ${stderr}`);
    const shim = new Shim(this, id, bundle, stdout.toString(), log);
    this.#connections.use(shim);
    return shim;
  }

  /** The events of a container so far, in the order of their arrival. */
  eventsOf(id: string): TaskEvent[] {
    return this.events.envelopes.flatMap(({ topic, namespace, event }) => {
      const schema = event && registry.getMessage(event.typeUrl);
      if (!schema) throw new Error(`Event "${topic}" has the unknown type "${event?.typeUrl}"`);
      const message = fromBinary(schema, event.value) as TaskEvent['message'];
      return message.containerId === id ? [{ topic, namespace, message }] : [];
    });
  }

  /** Waits for an event that may still be on its way. */
  async untilEvent(id: string, topic: string, execId?: string): Promise<TaskEvent['message']> {
    const isIt = ({ topic: found, message }: TaskEvent): boolean =>
      found === topic && (execId === undefined || message.id === execId || message.execId === execId);
    await until(`event ${topic} of "${id}"`, () => this.eventsOf(id).some(isIt));
    return this.eventsOf(id).find(isIt)?.message as TaskEvent['message'];
  }

  /** What is left of all containers of the stage, empty when all went well. */
  async leftovers(): Promise<string[]> {
    const left = await waitForNoLeftovers(this.state);
    // Cgroups do not tell their stage, but whose they are: tests beside this one have their own.
    return left.filter(
      (line) => !line.startsWith('cgroup ') || this.#ids.some((id) => line.includes(`/${id}@vm-`)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections.disposeAsync();
    for (const id of new Set(this.#ids)) {
      const pid = daemonPid(this.bundlePath(id));
      if (pid !== undefined && isAlive(pid)) await killAndWait(pid);
      await this.run('delete', id);
    }
    await this.events[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** A cache of its own, but for what takes long to find out or to make. */
async function borrowCache(directory: string): Promise<void> {
  const shared = cacheDirectory();
  await mkdir(join(shared, 'templates'), { recursive: true });
  await mkdir(directory);
  for (const name of ['templates', 'accelerator.json', 'qemu.json']) {
    if (existsSync(join(shared, name))) await symlink(join(shared, name), join(directory, name));
  }
}

const terminalSize = { columns: 80, rows: 24 };

/** A shim that serves, and a client of it. */
export class Shim implements AsyncDisposable {
  readonly id: string;
  readonly bundle: string;
  readonly address: string;
  readonly client: Client<typeof Task>;
  readonly #stage: ShimStage;
  readonly #log: LogReader;
  readonly #connection: TtrpcConnection;
  readonly #resources = new AsyncDisposableStack();

  constructor(stage: ShimStage, id: string, bundle: string, address: string, log: LogReader) {
    this.#stage = stage;
    this.id = id;
    this.bundle = bundle;
    this.address = address;
    this.#log = log;
    this.#connection = this.#resources.use(new TtrpcConnection(this.connect()));
    this.client = createClient(Task, this.#connection);
  }

  /** Resolves when the shim has closed the connection. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  get pid(): number {
    return daemonPid(this.bundle) as number;
  }

  /** What the shim has logged so far. */
  get log(): string {
    return this.#log.text;
  }

  /** One more connection, for whatever bytes. */
  connect(): Socket {
    const socket = createConnection(this.address.replace(/^unix:\/\//, ''));
    socket.on('error', () => {});
    this.#resources.defer(() => void socket.destroy());
    return socket;
  }

  /** FIFOs as containerd's client makes them, open at its end. */
  async streams(name: string, kinds: StreamKinds = {}): Promise<ClientStreams> {
    return this.#resources.use(await ClientStreams.open(join(this.bundle, `io-${name}`), kinds));
  }

  /** Creates and starts the task; resolves with its streams. */
  async launch(kinds: StreamKinds = {}): Promise<ClientStreams> {
    const streams = await this.streams('init', kinds);
    await this.client.create({ id: this.id, bundle: this.bundle, ...streams.request });
    await this.client.start({ id: this.id });
    return streams;
  }

  /** Starts one more process; resolves with its streams. */
  async exec(execId: string, args: string[], kinds: StreamKinds = {}): Promise<ClientStreams> {
    const streams = await this.streams(execId, kinds);
    const process = { ...ociProcess(args), terminal: kinds.terminal ?? false };
    await this.client.exec({ id: this.id, execId, ...streams.request, spec: processSpec(process) });
    await this.client.start({ id: this.id, execId });
    return streams;
  }

  /** Ends the task, takes it away and lets the shim end, as containerd does. */
  async remove(): Promise<void> {
    const { id } = this;
    await this.client.kill({ id, signal: 9, all: true }).catch(() => {});
    await this.client.wait({ id });
    await this.client.delete({ id });
    await this.client.shutdown({ id });
    await this.closed;
    await until(`the end of the shim of "${id}"`, () => !isAlive(this.pid));
    const { exitCode } = await this.#stage.run('delete', id);
    if (exitCode !== 0) throw new Error(`The delete verb ends with ${exitCode}`);
  }

  async kill(): Promise<void> {
    await killAndWait(this.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

export function ociProcess(args: string[]): OciProcess {
  return defaultProcess({}, { args });
}

/** A process for an Exec request. */
export function processSpec(process: unknown): { typeUrl: string; value: Uint8Array } {
  return {
    typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Process',
    value: Buffer.from(JSON.stringify(process)),
  };
}

export interface StreamKinds {
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
  terminal?: boolean;
}

/** The client's ends of a process's FIFOs. */
export class ClientStreams implements Disposable {
  readonly request: { stdin: string; stdout: string; stderr: string; terminal: boolean };
  /** All of stdout, once it has ended. */
  readonly stdout: Promise<string>;
  readonly stderr: Promise<string>;
  #seen = '';
  #stdin: number | undefined;
  readonly #readers: Socket[] = [];

  private constructor(directory: string, kinds: StreamKinds) {
    const path = (name: keyof StreamKinds): string => (kinds[name] ? join(directory, name) : '');
    this.request = {
      stdin: path('stdin'),
      stdout: path('stdout'),
      stderr: path('stderr'),
      terminal: kinds.terminal ?? false,
    };
    // A writer and reader in one: opening does not wait for the other end.
    if (kinds.stdin) this.#stdin = openSync(this.request.stdin, constants.O_RDWR | constants.O_NONBLOCK);
    this.stdout = this.#read(this.request.stdout, (text) => {
      this.#seen += text;
    });
    this.stderr = this.#read(this.request.stderr, () => {});
  }

  static async open(directory: string, kinds: StreamKinds): Promise<ClientStreams> {
    const names = (['stdin', 'stdout', 'stderr'] as const).filter((name) => kinds[name]);
    if (names.length > 0) {
      await mkdir(directory);
      await promisify(execFile)(
        'mkfifo',
        names.map((name) => join(directory, name)),
      );
    }
    return new ClientStreams(directory, kinds);
  }

  write(text: string): void {
    writeSync(this.#stdin as number, text);
  }

  closeStdin(): void {
    if (this.#stdin !== undefined) closeSync(this.#stdin);
    this.#stdin = undefined;
  }

  /** Waits until stdout has shown it; returns all of it so far. */
  async untilOutput(pattern: RegExp): Promise<string> {
    await until(`output that matches ${pattern}`, () => pattern.test(this.#seen));
    return this.#seen;
  }

  [Symbol.dispose](): void {
    this.closeStdin();
    for (const reader of this.#readers) reader.destroy();
  }

  async #read(path: string, onText: (text: string) => void): Promise<string> {
    if (path === '') return '';
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: true, writable: false });
    this.#readers.push(socket);
    let all = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      all += text;
      onText(text);
    });
    await once(socket, 'close');
    return all;
  }
}

/** Reads the log FIFO, as containerd does, so that the shim never finds it full. */
class LogReader implements Disposable {
  text = '';
  readonly #socket: Socket;

  constructor(path: string) {
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Looks again and again; fails in words after a time that only a machine in trouble needs. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeout = 60_000,
): Promise<void> {
  const deadline = Date.now() + timeout;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Waited ${timeout / 1000} s in vain for ${what}`);
    await sleep(20);
  }
}

function daemonPid(bundle: string): number | undefined {
  const path = join(bundle, 'shim.pid');
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : undefined;
}

export function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

async function killAndWait(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until(`the end of process ${pid}`, () => !isAlive(pid));
}

/** Pids of a process's children. */
export async function childrenOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1').catch(() => '');
  return children.trim().split(' ').filter(Boolean).map(Number);
}
