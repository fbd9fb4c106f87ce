/**
 * The agent as a host sees it: started in namespaces of its own by its launcher, spoken to over the bridge,
 * with real disks and a real OCI runtime. Needs root, and the programs below.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
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
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
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
const skip =
  process.getuid?.() !== 0 ? 'needs root' : missing.length > 0 ? `needs ${missing.join(', ')}` : false;

const here = dirname(fileURLToPath(import.meta.url));
/** Not the launcher: it would prefer a bundle, which may be older than the sources. */
const agentCommand = [process.execPath, '--disable-warning=ExperimentalWarning', join(here, 'main.ts')];
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
];

/** Bytes of the test's disks. */
const diskSize = 16 * 1024 * 1024;

test('the launcher finds the agent, which refuses a bad flag in words', () => {
  const { status, stderr } = spawnSync(join(here, '../bin/gcs'), ['-loglevel', 'loud'], { encoding: 'utf8' });
  assert.match(stderr, /^gcs: Cannot log at level "loud": use one of panic, fatal,/);
  assert.equal(status, 1);
});

test('the agent refuses to take a directory for a sandbox on the host itself', () => {
  const [node = '', ...args] = agentCommand;
  const { status, stderr } = spawnSync(node, [...args, '--sandbox', '/tmp'], { encoding: 'utf8' });
  assert.match(stderr, /gcs: Cannot serve sandbox "\/tmp": the agent would change the host's mounts/);
  assert.equal(status, 1);
});

suite('guest agent', { skip }, () => {
  let sandbox: Sandbox;
  let guest: GuestConnection;

  before(async () => {
    sandbox = await Sandbox.start();
    guest = sandbox.guest;
  });

  after(async () => {
    await sandbox?.[Symbol.asyncDispose]();
  });

  /** Runs a container to its end and deletes it. */
  async function runOnce(id: string, args: string[], spec: Partial<OciProcess> = {}) {
    await using container = await sandbox.container(id, { args, ...spec });
    const process = await container.start({ stdout: true, stderr: true });
    const [stdout, stderr, exitCode] = await Promise.all([
      text(process.stdout),
      text(process.stderr),
      process.wait(),
    ]);
    return { stdout, stderr, exitCode };
  }

  test('a container says hello and ends with 0', async () => {
    assert.deepEqual(await runOnce('hello', ['echo', 'Hello World!']), {
      stdout: 'Hello World!\n',
      stderr: '',
      exitCode: 0,
    });
  });

  test('the exit code and stderr are those of the process', async () => {
    assert.deepEqual(await runOnce('seven', ['sh', '-c', 'echo out; echo err >&2; exit 7']), {
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 7,
    });
  });

  test('a process that is slow to be read from is not disturbed and loses nothing', async () => {
    await using container = await sandbox.container('big', {
      args: ['dd', 'if=/dev/zero', 'bs=65536', 'count=64'],
    });
    const process = await container.start({ stdout: true });
    await sleep(100);
    assert.equal(
      (await process.stdout.toArray()).reduce((sum, chunk) => sum + chunk.length, 0),
      64 * 65536,
    );
    assert.equal(await process.wait(), 0);
  });

  test('stdin ends when the host half-closes it, and what cat then says still arrives', async () => {
    await using container = await sandbox.container('cat', { args: ['cat'] });
    const process = await container.start({ stdin: true, stdout: true });
    process.stdin.end('some text');
    assert.equal(await text(process.stdout), 'some text');
    assert.equal(await process.wait(), 0);
  });

  test('a killed process ends with 128 plus the signal, and the host is told how the container ended', async () => {
    await using container = await sandbox.container('kill', { args: ['sleep', '1000'] });
    const process = await container.start({});
    await guest.signalProcess('kill', process.pid, 9);
    assert.equal(await process.wait(), 137);
    assert.equal((await guest.waitForNotification('kill')).Type, 'ForcedExit');
    await assert.rejects(guest.signalProcess('kill', process.pid, 9), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('a container that ends by itself has ended unexpectedly', async () => {
    await using container = await sandbox.container('by-itself', { args: ['true'] });
    const process = await container.start({});
    assert.equal(await process.wait(), 0);
    assert.equal((await guest.waitForNotification('by-itself')).Type, 'UnexpectedExit');
  });

  test('a graceful shutdown sends SIGTERM, a forced one SIGKILL', async () => {
    await using polite = await sandbox.container('polite', {
      args: ['sh', '-c', 'trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done'],
    });
    const process = await polite.start({ stdout: true });
    await once(process.stdout, 'data');
    await guest.shutdownContainer('polite', 'graceful');
    assert.equal(await process.wait(), 3);
    assert.equal((await guest.waitForNotification('polite')).Type, 'GracefulExit');

    await using deaf = await sandbox.container('deaf', { args: ['sleep', '1000'] });
    const second = await deaf.start({});
    await guest.shutdownContainer('deaf', 'forced');
    assert.equal(await second.wait(), 137);
  });

  test('a container that never ran can be shut down', async () => {
    await using _container = await sandbox.container('idle', { args: ['true'] });
    await guest.shutdownContainer('idle', 'graceful');
    assert.equal((await guest.waitForNotification('idle')).Type, 'GracefulExit');
  });

  test('any number may wait for a process, before and after its end', async () => {
    await using container = await sandbox.container('waiters', { args: ['sh', '-c', 'read line; exit 5'] });
    const process = await container.start({ stdin: true });
    const early = [process.wait(), process.wait(), process.wait()];
    await assert.rejects(guest.waitForProcess('waiters', process.pid, { timeout: 20 }), (error) =>
      isHcsError(error, 'HCS_E_CONNECTION_TIMEOUT'),
    );
    process.stdin.end('\n');
    assert.deepEqual(await Promise.all(early), [5, 5, 5]);
    assert.equal(await process.wait(), 5);
    await assert.rejects(guest.waitForProcess('waiters', 99999), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('a terminal: one stream, its size, and resizing', async () => {
    await using container = await sandbox.container('tty', {
      args: ['sh', '-c', 'stty size; tty; read line; stty size; echo got $line; exit 4'],
      terminal: true,
      consoleSize: { height: 20, width: 90 },
    });
    const process = await container.start({ stdin: true, stdout: true });
    const shown = lines(process.stdout);
    assert.equal((await shown.next()).value, '20 90');
    assert.match((await shown.next()).value, /^\/dev\/(pts\/0|console)$/);
    await guest.resizeConsole('tty', process.pid, { width: 133, height: 44 });
    process.stdin.write('word\n');
    // The terminal shows what is typed.
    assert.equal((await shown.next()).value, 'word');
    assert.equal((await shown.next()).value, '44 133');
    assert.equal((await shown.next()).value, 'got word');
    assert.equal((await shown.next()).done, true);
    assert.equal(await process.wait(), 4);
  });

  test('a terminal loses no output when its process ends at once', async () => {
    await using container = await sandbox.container('tty-flood', {
      args: ['sh', '-c', 'dd if=/dev/zero bs=1024 count=512 2>/dev/null; echo end'],
      terminal: true,
    });
    const process = await container.start({ stdout: true });
    await sleep(100);
    const chunks = Buffer.concat(await process.stdout.toArray());
    assert.equal(chunks.length, 512 * 1024 + 'end\r\n'.length);
    assert.equal(await process.wait(), 0);
  });

  test('resizing a process without a terminal is refused', async () => {
    await using container = await sandbox.container('no-tty', { args: ['sleep', '1000'] });
    const process = await container.start({});
    await assert.rejects(
      guest.resizeConsole('no-tty', process.pid, { width: 1, height: 1 }),
      /has no terminal/,
    );
  });

  test('further processes in a running container, with a terminal and without', async () => {
    await using container = await sandbox.container('exec', { args: ['sleep', '1000'] });
    await container.start({});
    const plain = await container.exec(
      { args: ['sh', '-c', 'cat; echo $NAME $PWD >&2; exit 9'], env: ['PATH=/bin', 'NAME=x'], cwd: '/proc' },
      { stdin: true, stdout: true, stderr: true },
    );
    plain.stdin.end('piped');
    assert.equal(await text(plain.stdout), 'piped');
    assert.equal(await text(plain.stderr), 'x /proc\n');
    assert.equal(await plain.wait(), 9);

    const terminal = await container.exec(
      {
        args: ['sh', '-c', 'test -t 0 && stty size && exit 6'],
        terminal: true,
        consoleSize: { height: 5, width: 55 },
      },
      { stdin: true, stdout: true },
    );
    assert.equal(await text(terminal.stdout), '5 55\r\n');
    assert.equal(await terminal.wait(), 6);

    const killed = await container.exec({ args: ['sleep', '1000'] }, {});
    await guest.signalProcess('exec', killed.pid, 15);
    assert.equal(await killed.wait(), 143);
  });

  test('a command that does not exist is an error in words, for the first process and for a further one', async () => {
    await using broken = await sandbox.container('broken', { args: ['no-such-command'] });
    await assert.rejects(broken.start({ stdout: true, stderr: true }), (error: Error) => {
      assert.ok(isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
      assert.match(
        error.message,
        /Cannot start container "broken": executable file "no-such-command" not found/,
      );
      return true;
    });
    await using container = await sandbox.container('exec-broken', { args: ['sleep', '1000'] });
    await container.start({});
    await assert.rejects(
      container.exec({ args: ['no-such-command'] }, {}),
      /Cannot run "no-such-command" in container "exec-broken": executable file "no-such-command" not found/,
    );
  });

  test('exec after the container has exited fails with ERROR_NOT_FOUND', async () => {
    await using container = await sandbox.container('over', { args: ['true'] });
    const process = await container.start({});
    await process.wait();
    await assert.rejects(container.exec({ args: ['true'] }, {}), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('containers beside each other do not see each other', async () => {
    await using first = await sandbox.container('first', { args: ['cat'] });
    await using second = await sandbox.container('second', {
      args: ['sh', '-c', 'ls /proc | head -1; hostname'],
    });
    const waiting = await first.start({ stdin: true, stdout: true });
    const process = await second.start({ stdout: true });
    assert.equal(await text(process.stdout), '1\nsecond\n');
    waiting.stdin.end('1');
    assert.equal(await text(waiting.stdout), '1');
  });

  test('an id is taken until the container is deleted', async () => {
    const first = await sandbox.container('twice', { args: ['true'] });
    const config = JSON.stringify(sandbox.config('twice', { args: ['true'] }));
    await assert.rejects(
      guest.request('Create', { ContainerId: 'twice', ContainerConfig: config }),
      (error) => isHcsError(error, 'HCS_E_SYSTEM_ALREADY_EXISTS'),
    );
    await first[Symbol.asyncDispose]();
    await using _again = await sandbox.container('twice', { args: ['true'] });
  });

  test('a user by name gets the ids of the container', async () => {
    const user = { username: 'alice:staff' };
    assert.equal((await runOnce('user', ['id'], { user })).stdout, 'uid=1234(alice) gid=50(staff)\n');
    await assert.rejects(
      guest.createContainer(
        'nobody-knows',
        sandbox.config('nobody-knows', { args: ['id'], user: { username: 'bob' } }),
      ),
      /Cannot resolve user "bob": "bob" is not in \/etc\/passwd of the container/,
    );
  });

  test('host files, and a network of its own with loopback', async () => {
    const { stdout } = await runOnce('net', [
      'sh',
      '-c',
      'cat /etc/hostname /etc/resolv.conf; head -2 /etc/hosts; ip -o link | wc -l; ip link show lo | head -1',
    ]);
    assert.match(stdout, /^net\n127\.0\.0\.1 localhost\n127\.0\.0\.1 net\n1\n1: lo: <LOOPBACK,UP,LOWER_UP>/);
  });

  test('process list and statistics', async () => {
    await using container = await sandbox.container('stats', {
      args: ['sh', '-c', 'sleep 1000 & sleep 1000'],
    });
    const process = await container.start({});
    const child = await container.exec({ args: ['sleep', '1000'] }, {});
    const properties = await guest.getProperties('stats', ['ProcessList', 'Statistics']);
    const pids = properties.ProcessList?.map(({ ProcessId }) => ProcessId) ?? [];
    assert.ok(
      pids.includes(process.pid) && pids.includes(child.pid),
      `${pids} has ${process.pid} and ${child.pid}`,
    );
    const { LCOWMetrics } = properties;
    assert.ok((LCOWMetrics?.pids?.current ?? 0) >= 2);
    assert.ok((LCOWMetrics?.cpu?.usage?.total ?? 0) > 0);
    assert.ok((LCOWMetrics?.memory?.usage?.usage ?? 0) > 0);
    await assert.rejects(
      guest.getProperties(utilityVmId, ['Statistics']),
      /Cannot get the properties of the VM/,
    );
  });

  test('limits can be changed while it runs', async () => {
    await using container = await sandbox.container('limits', { args: ['sleep', '1000'] });
    await container.start({});
    await guest.modifySettings(
      {
        ResourceType: 'ContainerConstraints',
        RequestType: 'Update',
        Settings: { Linux: { pids: { limit: 77 } } },
      },
      { containerId: 'limits' },
    );
    const { LCOWMetrics } = await guest.getProperties('limits', ['Statistics']);
    assert.equal(LCOWMetrics?.pids?.limit, 77);
  });

  test('a process in the VM itself, by arguments and by command line', async () => {
    const process = await sandbox.execute(
      utilityVmId,
      { CommandArgs: ['sh', '-c', 'cat; echo $A; exit 8'], Environment: { A: 'b' }, CreateInUtilityVM: true },
      { stdin: true, stdout: true },
    );
    process.stdin.end('in ');
    assert.equal(await text(process.stdout), 'in b\n');
    assert.equal(await process.wait(), 8);

    const line = await sandbox.execute(
      utilityVmId,
      { CommandLine: `sh -c 'tty >/dev/null && echo "a  b" && kill -9 $$'`, EmulateConsole: true },
      { stdin: true, stdout: true },
    );
    assert.equal(await text(line.stdout), 'a  b\r\n');
    assert.equal(await line.wait(), 137);

    await assert.rejects(sandbox.execute(utilityVmId, { CommandArgs: ['no-such'] }, {}), (error) =>
      isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
    );
  });

  test('the agent reports what it is doing', async () => {
    assert.match(await guest.dumpStacks(), /^agent 1, up \d+ s[\s\S]*stack:\n[\s\S]*event loop handles:/);
  });

  test('what the agent does not support is refused in words', async () => {
    await assert.rejects(
      guest.modifySettings({ ResourceType: 'VPCIDevice', RequestType: 'Add', Settings: {} }),
      (error) => isHcsError(error, 'ERROR_NOT_SUPPORTED'),
    );
    await assert.rejects(guest.getProperties('nobody', []), (error) =>
      isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND'),
    );
    const pod = sandbox.config('pod', { args: ['true'] });
    const annotations = { 'io.kubernetes.cri.container-type': 'sandbox' };
    await assert.rejects(
      guest.createContainer('pod', {
        ...pod,
        OciSpecification: { ...(pod.OciSpecification as OciSpec), annotations },
      }),
      /containers of type "sandbox" are not supported/,
    );
  });

  test('a disk can be formatted, linked to and unmounted', async () => {
    const disk = await sandbox.attachDisk(await sandbox.image('blank', undefined));
    const settings = { ...disk, MountPath: '/run/mounts/blank', EnsureFilesystem: true, Filesystem: 'ext4' };
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: settings });
    const look = await sandbox.execute(
      utilityVmId,
      { CommandLine: 'ls /run/mounts/blank' },
      { stdout: true },
    );
    assert.equal(await text(look.stdout), 'lost+found\n');
    await guest.modifySettings({
      ResourceType: 'MappedVirtualDisk',
      RequestType: 'Remove',
      Settings: settings,
    });
    await guest.modifySettings({ ResourceType: 'SCSIDevice', RequestType: 'Remove', Settings: disk });

    const link = { ...disk, MountPath: '/run/mounts/link', BlockDev: true };
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: link });
    const stat = await sandbox.execute(utilityVmId, { CommandLine: 'test -b /run/mounts/link' }, {});
    assert.equal(await stat.wait(), 0);
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Remove', Settings: link });
  });

  test('many processes at once are told apart and leave no descriptors', async () => {
    const countDescriptors = async () => {
      const list = await sandbox.execute(
        utilityVmId,
        { CommandLine: 'sh -c "ls /proc/1/fd | wc -l"' },
        { stdout: true },
      );
      const [count] = await Promise.all([text(list.stdout), list.wait()]);
      return Number(count);
    };
    await using container = await sandbox.container('many', { args: ['sleep', '1000'] });
    await container.start({});
    const before = await countDescriptors();
    const codes = Array.from({ length: 24 }, (_, index) => index + 1);
    const exits = await Promise.all(
      codes.map(async (code) => {
        const args = ['sh', '-c', `cat; exit ${code}`];
        const process = await container.exec(
          { args, terminal: code % 3 === 0 },
          { stdin: true, stdout: true },
        );
        if (code % 3 === 0) process.stdin.write(`${code}\n\x04`);
        else process.stdin.end(`${code}\n`);
        const output = await text(process.stdout);
        assert.match(output, new RegExp(`^${code}\\b`));
        const exitCode = await process.wait();
        process.stdin.destroy();
        return exitCode;
      }),
    );
    assert.deepEqual(exits, codes);
    while ((await countDescriptors()) > before) await sleep(20);
  });

  test('nothing is left when all containers are deleted', async () => {
    const left = await sandbox.execute(
      utilityVmId,
      {
        CommandLine: `sh -c 'ls /run/gcs/c /run/gcsrunc/state /run/gcsrunc/files; grep -c /run/gcs /proc/self/mounts; ps -eo stat= | grep -c Z'`,
      },
      { stdout: true },
    );
    assert.equal(
      await text(left.stdout),
      '/run/gcs/c:\n\n/run/gcsrunc/files:\n\n/run/gcsrunc/state:\n0\n0\n',
    );
    assert.deepEqual(sandbox.containerCgroups(), []);
  });

  test('the log arrives as JSON lines', async () => {
    const lines = sandbox
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(lines.some(({ level, msg }) => level === 'info' && msg === 'GCS started'));
  });

  test('a host that closes the connection can come back and finds its containers', async () => {
    await using own = await Sandbox.start();
    await using _container = await own.container('stays', { args: ['sleep', '1000'] });
    const process = await _container.start({});
    await own.guest[Symbol.asyncDispose]();
    await own.reconnect();
    await own.guest.signalProcess('stays', process.pid, 9);
    assert.equal(await own.guest.waitForProcess('stays', process.pid), 137);
    own.guest.adoptContainer('stays');
    await own.guest.deleteContainerState('stays');
  });

  test('runc serves where there is no crun', {
    skip: existsSync('/usr/sbin/runc') ? false : 'needs runc',
  }, async () => {
    await using own = await Sandbox.start({ path: '/usr/sbin' });
    await using container = await own.container('runc', {
      args: ['sh', '-c', 'read line; echo $line; exit 7'],
    });
    const process = await container.start({ stdin: true, stdout: true });
    const terminal = await container.exec(
      { args: ['sh', '-c', 'stty size; exit 2'], terminal: true, consoleSize: { height: 5, width: 55 } },
      { stdout: true },
    );
    assert.equal(await text(terminal.stdout), '5 55\r\n');
    assert.equal(await terminal.wait(), 2);
    await assert.rejects(container.exec({ args: ['no-such'] }, {}), (error) =>
      isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
    );
    assert.ok(
      (await own.guest.getProperties('runc', ['ProcessList'])).ProcessList?.some(
        ({ ProcessId }) => ProcessId === process.pid,
      ),
    );
    process.stdin.end('word\n');
    assert.equal(await text(process.stdout), 'word\n');
    assert.equal(await process.wait(), 7);
  });

  test('SIGTERM ends the agent in good order', async () => {
    const own = await Sandbox.start();
    const container = await own.container('last', { args: ['sleep', '1000'] });
    await container.start({});
    own.terminate();
    assert.deepEqual(await own.exited, [0, null]);
    await own[Symbol.asyncDispose]();
  });

  test('shutting down the VM ends the agent and everything in it, without an answer', async () => {
    const own = await Sandbox.start();
    const container = await own.container('last', { args: ['sleep', '1000'] });
    await container.start({});
    await own.guest.shutdownGuest();
    assert.deepEqual(await own.exited, [0, null]);
    await own[Symbol.asyncDispose]();
  });
});

function lines(stream: Socket): AsyncIterator<string> {
  return createInterface({ input: stream })[Symbol.asyncIterator]();
}

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

/** The host's side of a sandbox: what an engine and a bridge do, in the shortest way. */
class Sandbox implements AsyncDisposable {
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
