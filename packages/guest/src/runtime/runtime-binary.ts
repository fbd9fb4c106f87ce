import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { closeFd, listenUnix, receiveFds, waitUntilReady } from '@hcsshim/linux';
import { HcsError } from '@hcsshim/schema';
import type { ProcessReaper } from '../processes/process-reaper.ts';
import type { CreateRequest, ExecRequest, OciRuntime, RuntimeProcess, RuntimeStatus } from './oci-runtime.ts';
import { runtimeError } from './runtime-log.ts';

/** Far beyond what a runtime takes even in an emulated VM on a busy host; then it hangs. In milliseconds. */
const commandTimeout = 120_000;
const consoleTimeout = 10_000;

/** Commands print a state or a list of ids, never more than this. */
const outputLimit = 4 * 1024 * 1024;

const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

export interface RuntimeBinaryOptions {
  /** Path of crun or runc. */
  path: string;
  /** Directory for the runtime's state and for short-lived files of ours, on a tmpfs. Upstream: `/var/run/gcsrunc`. */
  directory: string;
  reaper: ProcessReaper;
}

interface Command {
  /** What is being done, for the error. */
  action: string;
  args: readonly string[];
  /** @default nothing, with the output collected */
  stdio?: StdioOptions;
  cwd?: string;
}

interface Launch {
  action: string;
  args: (pidFile: string) => readonly string[];
  stdio: ExecRequest['stdio'];
  terminal: boolean;
  cwd?: string;
}

/** crun, or runc, which takes the same commands. */
export class RuntimeBinary implements OciRuntime {
  readonly #path: string;
  readonly #root: string;
  readonly #files: string;
  readonly #reaper: ProcessReaper;
  #count = 0;

  private constructor(options: RuntimeBinaryOptions) {
    this.#path = options.path;
    this.#root = join(options.directory, 'state');
    this.#files = join(options.directory, 'files');
    this.#reaper = options.reaper;
  }

  static async open(options: RuntimeBinaryOptions): Promise<RuntimeBinary> {
    const runtime = new RuntimeBinary(options);
    await mkdir(runtime.#root, { recursive: true, mode: 0o700 });
    await mkdir(runtime.#files, { recursive: true, mode: 0o700 });
    return runtime;
  }

  create(request: CreateRequest): Promise<RuntimeProcess> {
    return this.#createBy('create', [], request);
  }

  async start(id: string): Promise<void> {
    await this.#command({ action: `Cannot start container "${id}"`, args: ['start', id] });
  }

  run(request: CreateRequest): Promise<RuntimeProcess> {
    return this.#createBy('run', ['--detach'], request);
  }

  async exec({ id, process, stdio }: ExecRequest): Promise<RuntimeProcess> {
    const processFile = this.#newFile('process.json');
    await writeFile(processFile, JSON.stringify(process), { mode: 0o600 });
    try {
      return await this.#launch({
        action: `Cannot run "${process.args?.[0] ?? ''}" in container "${id}"`,
        args: (pidFile) => ['exec', '--detach', '--process', processFile, '--pid-file', pidFile, id],
        stdio,
        terminal: process.terminal ?? false,
      });
    } finally {
      await rm(processFile, { force: true });
    }
  }

  async kill(id: string, signal: number, { all = false } = {}): Promise<void> {
    await this.#command({
      action: `Cannot send signal ${signal} to container "${id}"`,
      args: ['kill', ...(all ? ['--all'] : []), id, String(signal)],
    });
  }

  async pause(id: string): Promise<void> {
    await this.#command({ action: `Cannot pause container "${id}"`, args: ['pause', id] });
  }

  async resume(id: string): Promise<void> {
    await this.#command({ action: `Cannot resume container "${id}"`, args: ['resume', id] });
  }

  async state(id: string): Promise<RuntimeStatus> {
    const action = `Cannot query container "${id}"`;
    const output = await this.#command({ action, args: ['state', id] });
    return (parseOutput(action, output) as { status: RuntimeStatus }).status;
  }

  async processes(id: string): Promise<number[]> {
    const action = `Cannot list the processes of container "${id}"`;
    const output = await this.#command({ action, args: ['ps', '--format', 'json', id] });
    return (parseOutput(action, output) as number[] | null) ?? [];
  }

  async update(id: string, resources: Record<string, unknown>): Promise<void> {
    const file = this.#newFile('resources.json');
    await writeFile(file, JSON.stringify(resources), { mode: 0o600 });
    try {
      await this.#command({
        action: `Cannot change the limits of container "${id}"`,
        args: ['update', '--resources', file, id],
      });
    } finally {
      await rm(file, { force: true });
    }
  }

  async delete(id: string): Promise<void> {
    await this.#command({ action: `Cannot delete container "${id}"`, args: ['delete', '--force', id] });
  }

  #createBy(verb: string, flags: string[], { id, bundle, stdio, terminal }: CreateRequest) {
    return this.#launch({
      action: `Cannot start container "${id}"`,
      args: (pidFile) => [verb, ...flags, '--bundle', bundle, '--pid-file', pidFile, id],
      stdio,
      terminal,
      cwd: bundle,
    });
  }

  /** Runs a command that leaves a process behind. */
  async #launch({ action, args, stdio, terminal, cwd }: Launch): Promise<RuntimeProcess> {
    await using cleanup = new AsyncDisposableStack();
    const pidFile = this.#newFile('pid');
    cleanup.defer(() => rm(pidFile, { force: true }));
    const [verb, ...rest] = args(pidFile);
    const command = { action, ...(cwd === undefined ? {} : { cwd }) };
    const readPid = async (): Promise<number> => Number(await readFile(pidFile, 'utf8'));
    if (!terminal) {
      await this.#command({ ...command, args: [verb as string, ...rest], stdio });
      return { pid: await readPid() };
    }
    const socketPath = this.#newFile('console');
    cleanup.defer(() => rm(socketPath, { force: true }));
    const listener = cleanup.use(listenUnix(socketPath));
    await this.#command({ ...command, args: [verb as string, '--console-socket', socketPath, ...rest] });
    // The runtime has sent the terminal before it ended, so this does not wait.
    const signal = AbortSignal.timeout(consoleTimeout);
    const connection = await listener.accept({ signal });
    cleanup.defer(() => closeFd(connection));
    await waitUntilReady(connection, 'readable', { signal });
    const [terminalFd] = receiveFds(connection, Buffer.alloc(4096)).fds;
    if (terminalFd === undefined) {
      throw new HcsError({ action, problem: 'the OCI runtime has sent no terminal', code: 'E_FAIL' });
    }
    return { pid: await readPid(), terminalFd };
  }

  async #command({ action, args, stdio, cwd }: Command): Promise<string> {
    const log = this.#newFile('log');
    try {
      const child = this.#reaper.spawn(
        this.#path,
        ['--root', this.#root, '--log', log, '--log-format', 'json', ...args],
        {
          stdio: stdio ?? ['ignore', 'pipe', 'ignore'],
          env: environment,
          timeout: commandTimeout,
          killSignal: 'SIGKILL',
          ...(cwd === undefined ? {} : { cwd }),
        },
      );
      const ended = endOf(child, action, this.#path);
      const [ending, output] = await Promise.all([ended, limitedOutput(child)]);
      if (ending === undefined) return output;
      throw runtimeError(action, await readFile(log, 'utf8').catch(() => ''), ending);
    } finally {
      await rm(log, { force: true });
    }
  }

  #newFile(kind: string): string {
    return join(this.#files, `${++this.#count}.${kind}`);
  }
}

/** How the child failed, or undefined when it did not. Rejects when it could not be started. */
async function endOf(child: ChildProcess, action: string, path: string): Promise<string | undefined> {
  let code: number | null;
  let signal: NodeJS.Signals | null;
  try {
    [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  } catch (error) {
    throw new HcsError({
      action,
      problem: `the OCI runtime "${basename(path)}" could not be started`,
      code: 'E_FAIL',
      cause: error,
    });
  }
  if (signal !== null) return `was ended by ${signal}`;
  return code === 0 ? undefined : `ended with code ${code}`;
}

async function limitedOutput({ stdout }: ChildProcess): Promise<string> {
  let output = '';
  for await (const chunk of stdout?.setEncoding('utf8') ?? []) {
    output += chunk;
    if (output.length > outputLimit) throw new Error(`Cannot read more than ${outputLimit} characters`);
  }
  return output;
}

function parseOutput(action: string, output: string): unknown {
  try {
    return JSON.parse(output);
  } catch (error) {
    throw new HcsError({ action, problem: 'the OCI runtime answered no JSON', code: 'E_FAIL', cause: error });
  }
}
