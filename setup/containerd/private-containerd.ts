import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface PrivateContainerdOptions {
  /** Folders put before the PATH: where containerd finds its shims. */
  path: readonly string[];
  /** More environment for containerd and the shims that it starts. */
  environment?: Record<string, string>;
  signal?: AbortSignal;
}

export interface CtrResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const startTimeout = 30_000;

/**
 * A containerd of our own: its root, state and sockets are in a temporary directory, which goes with it.
 * Other containerds of the machine do not notice.
 */
export class PrivateContainerd implements AsyncDisposable {
  readonly directory: string;
  readonly address: string;
  readonly ttrpcAddress: string;
  readonly logPath: string;
  readonly #options: PrivateContainerdOptions;
  #process: ChildProcess | undefined;

  private constructor(directory: string, options: PrivateContainerdOptions) {
    this.directory = directory;
    this.address = join(directory, 'containerd.sock');
    this.ttrpcAddress = `${this.address}.ttrpc`;
    this.logPath = join(directory, 'containerd.log');
    this.#options = options;
  }

  static async start(options: PrivateContainerdOptions): Promise<PrivateContainerd> {
    const directory = await mkdtemp(join(tmpdir(), 'hcsshim-containerd-'));
    const containerd = new PrivateContainerd(directory, options);
    try {
      await mkdir(join(directory, 'state'), { recursive: true });
      await writeFile(join(directory, 'config.toml'), containerd.#config());
      await containerd.launch();
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      ...this.#options.environment,
      PATH: [...this.#options.path, process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter),
      CONTAINERD_ADDRESS: this.address,
    };
  }

  /** Starts the daemon; again, after it was killed. Resolves when it answers. */
  async launch(): Promise<void> {
    const child = spawn('containerd', ['--config', join(this.directory, 'config.toml')], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#process = child;
    const log = createWriteStream(this.logPath, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const failed = once(child, 'error').then(([error]) => {
      throw new Error('Cannot start containerd: is the Debian package "containerd" installed?', {
        cause: error,
      });
    });
    failed.catch(() => {});
    const deadline = Date.now() + startTimeout;
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const answer = await Promise.race([this.ctr(['version']), failed]);
      if (answer.exitCode === 0) return;
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`Cannot start containerd: ${answer.stderr.trim()}\n${await this.logTail()}`);
      }
      await sleep(50);
    }
  }

  /** Kills the daemon with SIGKILL, as a crash would; its shims live on. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Runs `ctr` against this containerd. */
  async ctr(
    args: readonly string[],
    options: { input?: string | Uint8Array; signal?: AbortSignal; stdout?: (chunk: Buffer) => void } = {},
  ): Promise<CtrResult> {
    const child = spawn('ctr', ['--address', this.address, ...args], {
      env: this.environment,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(options.signal ? { signal: options.signal } : {}),
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) =>
      options.stdout ? options.stdout(chunk) : stdout.push(chunk),
    );
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    const [code] = (await once(child, 'close')) as [number | null];
    return {
      exitCode: code ?? 1,
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
    };
  }

  async logTail(lines = 20): Promise<string> {
    const log = await readFile(this.logPath, 'utf8').catch(() => '');
    return log.trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Removes the containers that are left, ends the daemon and deletes its directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null && child.signalCode === null) {
      await this.#removeTasks().catch(() => {});
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await Promise.race([exited, sleep(5_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'))]);
      await exited;
    }
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async #removeTasks(): Promise<void> {
    const { stdout } = await this.ctr(['containers', 'list', '-q']);
    for (const id of stdout.split('\n').filter(Boolean)) {
      await this.ctr(['task', 'kill', '-a', '-s', 'SIGKILL', id]);
      await this.ctr(['task', 'delete', '-f', id]);
      await this.ctr(['containers', 'delete', id]);
    }
  }

  #config(): string {
    return `version = 2
root = "${join(this.directory, 'root')}"
state = "${join(this.directory, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${this.address}"
[ttrpc]
  address = "${this.ttrpcAddress}"
[debug]
  level = "debug"
`;
  }
}
