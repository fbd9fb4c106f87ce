/**
 * The host's side of an agent in a sandbox, for tests: what an engine and a bridge do, in the shortest way, with
 * real disks and a real OCI runtime. Needs root, and the programs below.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { GuestConnection, GuestPort } from '@hcsshim/bridge';
import { attachLoopDevice, type LoopDevice } from '@hcsshim/linux';
import {
  type GuestProcessParameters,
  isHcsError,
  type OciProcess,
  type OciSpec,
  utilityVmId,
} from '@hcsshim/schema';

const programs = [
  '/usr/bin/setpriv',
  '/usr/bin/unshare',
  '/usr/sbin/mke2fs',
  '/bin/busybox',
  '/usr/bin/crun',
];
const missing = programs.filter((program) => !existsSync(program));
/** Why the agent cannot be tested here, or false. */
export const skip =
  process.getuid?.() !== 0 ? 'needs root' : missing.length > 0 ? `needs ${missing.join(', ')}` : false;

const here = dirname(fileURLToPath(import.meta.url));
/** Not the launcher: it would prefer a bundle, which may be older than the sources. */
export const agentCommand = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(here, 'main.ts'),
];
const applets = [
  'sh',
  'echo',
  'cat',
  'sleep',
  'true',
  'stty',
  'id',
  'hostname',
  'ls',
  'head',
  'tty',
  'kill',
  'ip',
  'dd',
  'wc',
  'yes',
  'ln',
  'mkfifo',
];

/** Bytes of the test's disks. */
const diskSize = 16 * 1024 * 1024;

type StreamName = 'stdin' | 'stdout' | 'stderr';

/** A process with the streams that were asked for, as the host has them. */
class HostProcess {
  readonly pid: number;
  readonly #sandbox: Sandbox;
  readonly #containerId: string;
  readonly #streams: Partial<Record<StreamName, Socket>>;

  constructor(
    sandbox: Sandbox,
    containerId: string,
    pid: number,
    streams: Partial<Record<StreamName, Socket>>,
  ) {
    this.pid = pid;
    this.#sandbox = sandbox;
    this.#containerId = containerId;
    this.#streams = streams;
  }

  get stdin(): Socket {
    return this.#streams.stdin as Socket;
  }

  get stdout(): Socket {
    return this.#streams.stdout as Socket;
  }

  get stderr(): Socket {
    return this.#streams.stderr as Socket;
  }

  wait(): Promise<number> {
    return this.#sandbox.guest.waitForProcess(this.#containerId, this.pid);
  }
}

type Wanted = Partial<Record<StreamName, boolean>>;
type TestProcess = Partial<OciProcess> & { args: string[] };

const layerPath = '/run/mounts/layer';

/** An agent that runs, and the devices that it sees. */
export class Sandbox implements AsyncDisposable {
  readonly directory: string;
  readonly #owned: AsyncDisposableStack;
  readonly #agent: ChildProcess;
  readonly #cgroup: string;
  readonly #bridge: SocketServer;
  readonly #log: () => string;
  readonly exited: Promise<unknown[]>;
  #guest: GuestConnection | undefined;
  #nextLun = 0;
  #images = new Map<string, string>();

  private constructor(
    directory: string,
    owned: AsyncDisposableStack,
    agent: ChildProcess,
    bridge: SocketServer,
    cgroup: string,
    log: () => string,
  ) {
    this.directory = directory;
    this.#owned = owned;
    this.#agent = agent;
    this.#bridge = bridge;
    this.#cgroup = cgroup;
    this.#log = log;
    this.exited = once(agent, 'exit');
  }

  get guest(): GuestConnection {
    return this.#guest as GuestConnection;
  }

  log(): string {
    return this.#log();
  }

  static async start({ path = process.env.PATH } = {}): Promise<Sandbox> {
    await using undo = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), 'gcs-test-'));
    undo.defer(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, 'hvsocket'));
    const bridge = undo.use(await SocketServer.listen(directory, GuestPort.bridge));
    const logServer = undo.use(await SocketServer.listen(directory, GuestPort.log));
    let log = '';
    void logServer.accept().then((stream) =>
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        log += chunk;
      }),
    );
    const cgroup = `/hcsshim-test-${process.pid}-${directory.slice(-6)}`;
    undo.defer(() => removeCgroups(cgroup));
    const namespaces = '-m -p -u -i -n --fork --kill-child=KILL --mount-proc'.split(' ');
    const flags = '-v4 -log-format json -loglevel debug'.split(' ');
    const agent = spawn(
      '/usr/bin/setpriv',
      ['--pdeathsig', 'KILL', '--', '/usr/bin/unshare', ...namespaces, ...agentCommand, ...flags].concat([
        '--sandbox',
        directory,
        '--cgroup-parent',
        cgroup,
      ]),
      { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, PATH: path } },
    );
    undo.defer(async () => {
      if (agent.exitCode !== null || agent.signalCode !== null) return;
      const exit = once(agent, 'exit');
      agent.kill('SIGKILL');
      await exit;
    });
    const sandbox = new Sandbox(directory, undo.move(), agent, bridge, cgroup, () => log);
    try {
      await sandbox.reconnect();
      const layer = await sandbox.attachDisk(await sandbox.image('layer', buildRootfs(directory)), true);
      await sandbox.guest.modifySettings({
        ResourceType: 'MappedVirtualDisk',
        RequestType: 'Add',
        Settings: { ...layer, MountPath: layerPath, ReadOnly: true, Filesystem: 'ext4' },
      });
      return sandbox;
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Accepts the agent's dial and negotiates. */
  async reconnect(): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    this.#guest = await GuestConnection.connect(await this.#bridge.accept(signal), { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest?.[Symbol.asyncDispose]();
    this.#agent.kill(0);
    await this.#owned.disposeAsync();
  }

  /** Sends SIGTERM to the agent, the child of `unshare`. */
  terminate(): void {
    for (const pid of childrenOf(this.#agent.pid as number)) process.kill(pid, 'SIGTERM');
  }

  /** An ext4 image with the contents of a directory, or a blank one. */
  async image(name: string, contents: string | undefined): Promise<string> {
    const known = this.#images.get(name);
    if (known) return known;
    const path = join(this.directory, `${name}.img`);
    writeFileSync(path, '');
    truncateSync(path, diskSize);
    if (contents !== undefined) {
      execFileSync('mke2fs', ['-q', '-t', 'ext4', '-F', ...(contents ? ['-d', contents] : []), path]);
    }
    this.#images.set(name, path);
    return path;
  }

  /** Plugs a disk in, as an engine does. */
  async attachDisk(
    path: string,
    readOnly = false,
  ): Promise<{ Controller: number; Lun: number; loop: LoopDevice }> {
    const loop = await attachLoopDevice(path, { readOnly });
    this.#owned.defer(() => loop.close());
    const Lun = this.#nextLun++;
    mkdirSync(join(this.directory, 'scsi/1'), { recursive: true });
    symlinkSync(loop.path, join(this.directory, 'scsi/1', String(Lun)));
    return { Controller: 1, Lun, loop };
  }

  config(id: string, process: TestProcess, root = layerPath) {
    const spec: OciSpec = {
      ociVersion: '1.0.2',
      process: { user: { uid: 0, gid: 0 }, env: ['PATH=/bin'], cwd: '/', ...process },
      root: { path: root },
      hostname: id,
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
        {
          destination: '/dev/pts',
          type: 'devpts',
          source: 'devpts',
          options: ['newinstance', 'ptmxmode=0666'],
        },
      ],
      linux: { namespaces: ['pid', 'mount', 'uts', 'ipc', 'network'].map((type) => ({ type })) },
    };
    return {
      SchemaVersion: { Major: 2, Minor: 1 },
      OciBundlePath: `/run/gcs/c/${id}`,
      OciSpecification: spec,
      ScratchDirPath: `/run/gcs/c/${id}/scratch`,
    };
  }

  /** A container with a scratch disk of its own over the busybox layer. */
  async container(id: string, process: TestProcess) {
    await using undo = new AsyncDisposableStack();
    const scratchImage = join(this.directory, `${id}.scratch.img`);
    execFileSync('cp', ['--sparse=always', await this.image('scratch', ''), scratchImage]);
    const { loop, ...disk } = await this.attachDisk(scratchImage);
    undo.defer(() => loop.close());
    const { guest } = this;
    const scratch = { ...disk, MountPath: `/run/gcs/c/${id}/scratch`, Filesystem: 'ext4' };
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: scratch });
    undo.defer(() =>
      this.guest.modifySettings({
        ResourceType: 'MappedVirtualDisk',
        RequestType: 'Remove',
        Settings: scratch,
      }),
    );
    const layers = {
      ContainerID: id,
      ContainerRootPath: `/run/gcs/c/${id}/rootfs`,
      Layers: [{ Path: layerPath }],
      ScratchPath: scratch.MountPath,
    };
    await guest.modifySettings({ ResourceType: 'CombinedLayers', RequestType: 'Add', Settings: layers });
    undo.defer(() =>
      this.guest.modifySettings({ ResourceType: 'CombinedLayers', RequestType: 'Remove', Settings: layers }),
    );
    await guest.createContainer(id, this.config(id, process, layers.ContainerRootPath));
    undo.defer(() =>
      this.guest.deleteContainerState(id).catch((error: unknown) => {
        if (!isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND')) throw error;
      }),
    );
    const owned = undo.move();
    return {
      start: (wanted: Wanted) => this.execute(id, {}, wanted),
      exec: ({ args, ...further }: TestProcess, wanted: Wanted) => {
        const described = { cwd: '/', env: ['PATH=/bin'], user: {}, args, ...further };
        return this.execute(id, { OciProcess: described }, wanted);
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }

  async execute(
    containerId: string,
    parameters: GuestProcessParameters,
    wanted: Wanted,
  ): Promise<HostProcess> {
    const streams: Partial<Record<StreamName, Socket>> = {};
    const ports: Partial<Record<StreamName, number>> = {};
    await using servers = new AsyncDisposableStack();
    const accepting: Promise<void>[] = [];
    for (const name of Object.keys(wanted) as StreamName[]) {
      const port = this.guest.allocatePort();
      ports[name] = port;
      const server = servers.use(await SocketServer.listen(this.directory, port));
      accepting.push(
        server.accept(AbortSignal.timeout(60_000)).then((stream) => {
          streams[name] = stream;
        }),
      );
    }
    const accepted = Promise.allSettled(accepting);
    const pid = await this.guest.executeProcess(
      containerId,
      {
        ...parameters,
        CreateStdInPipe: wanted.stdin ?? false,
        CreateStdOutPipe: wanted.stdout ?? false,
        CreateStdErrPipe: wanted.stderr ?? false,
      },
      { StdIn: ports.stdin ?? 0, StdOut: ports.stdout ?? 0, StdErr: ports.stderr ?? 0 },
    );
    await accepted;
    return new HostProcess(this, containerId, pid, streams);
  }

  /** How many descriptors the agent has open. */
  async agentDescriptors(): Promise<number> {
    const list = await this.execute(
      utilityVmId,
      { CommandLine: 'sh -c "ls /proc/1/fd | wc -l"' },
      { stdout: true },
    );
    const [count] = await Promise.all([text(list.stdout), list.wait()]);
    return Number(count);
  }

  /** Cgroups of containers that are still there, as paths. */
  containerCgroups(): string[] {
    return cgroupDirectories(this.#cgroup).flatMap((directory) =>
      readdirSync(directory, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(directory, entry.name)),
    );
  }
}

/** Process ids of the children of `pid`. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
}

/** Accepts connections to a port of the host. */
class SocketServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #waiting: ((stream: Socket) => void)[] = [];
  readonly #arrived: Socket[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (stream: Socket) => {
      stream.on('error', () => stream.destroy());
      const waiter = this.#waiting.shift();
      if (waiter) waiter(stream);
      else this.#arrived.push(stream);
    });
  }

  static async listen(directory: string, port: number): Promise<SocketServer> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(join(directory, 'hvsocket', String(port)));
    await once(server, 'listening');
    return new SocketServer(server);
  }

  async accept(signal?: AbortSignal): Promise<Socket> {
    const arrived = this.#arrived.shift();
    if (arrived) return arrived;
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    this.#waiting.push(resolve);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#arrived) stream.destroy();
    this.#server.close();
  }
}

/** A busybox root file system below `directory`. */
function buildRootfs(directory: string): string {
  const root = join(directory, 'rootfs');
  for (const name of ['bin', 'etc', 'proc', 'dev', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
  for (const applet of applets) symlinkSync('busybox', join(root, 'bin', applet));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nalice:x:1234:100::/:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nstaff:x:50:\n');
  return root;
}

function cgroupDirectories(name: string): string[] {
  const root = '/sys/fs/cgroup';
  return [root, ...readdirSync(root).map((controller) => join(root, controller))]
    .map((directory) => join(directory, name))
    .filter((directory) => existsSync(directory));
}

async function removeCgroups(name: string): Promise<void> {
  for (const directory of cgroupDirectories(name)) {
    for (const child of readdirSync(directory, { withFileTypes: true })) {
      if (child.isDirectory()) rmdirSync(join(directory, child.name));
    }
    rmdirSync(directory);
  }
}
