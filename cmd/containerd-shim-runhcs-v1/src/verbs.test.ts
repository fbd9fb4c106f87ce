import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { createClient, TtrpcConnection } from '@hcsshim/ttrpc';
import { DeleteResponseSchema, Task } from './generated/containerd/task/v2/task_pb.ts';
import { socketPathOf } from './shim-socket.ts';

const launcher = join(import.meta.dirname, '../bin/containerd-shim-runhcs-v1');

interface Outcome {
  exitCode: number;
  stdout: Buffer;
  stderr: string;
}

/** A bundle as containerd makes it, and a state directory; daemons that a test leaves are ended. */
class Stage {
  readonly bundle = mkdtempSync(join(tmpdir(), 'shim-bundle-'));
  readonly state = mkdtempSync(join(tmpdir(), 'shim-state-'));
  /** A launcher that finds only the sources: the bundle, which it prefers, may be older. */
  readonly program = mkdtempSync(join(tmpdir(), 'shim-program-'));

  static async make(t: TestContext, config: unknown = {}): Promise<Stage> {
    const stage = new Stage();
    t.after(() => stage.clear());
    cpSync(join(launcher, '..'), join(stage.program, 'bin'), { recursive: true });
    symlinkSync(import.meta.dirname, join(stage.program, 'src'));
    writeFileSync(
      join(stage.bundle, 'config.json'),
      typeof config === 'string' ? config : JSON.stringify(config),
    );
    await promisify(execFile)('mkfifo', [join(stage.bundle, 'log')]);
    return stage;
  }

  async run(verb: string, id = 'x', flags: string[] = []): Promise<Outcome> {
    const args = [
      '-namespace',
      'test',
      '-address',
      '/nowhere/containerd.sock',
      '-publish-binary',
      '/bin/false',
    ];
    const child = spawn(
      join(this.program, 'bin/containerd-shim-runhcs-v1'),
      [...args, '-id', id, ...flags, verb],
      {
        cwd: this.bundle,
        env: {
          ...process.env,
          PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
          HCSSHIM_STATE: this.state,
          TTRPC_ADDRESS: '/nowhere/containerd.sock.ttrpc',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const chunks: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const [exitCode] = await once(child, 'close');
    return { exitCode, stdout: Buffer.concat(chunks), stderr };
  }

  get daemonPid(): number {
    return Number(readFileSync(join(this.bundle, 'shim.pid'), 'utf8'));
  }

  get sockets(): string[] {
    return existsSync(join(this.state, 's')) ? readdirSync(join(this.state, 's')) : [];
  }

  async killDaemon(): Promise<void> {
    const pid = this.daemonPid;
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await sleep(5);
  }

  async clear(): Promise<void> {
    if (existsSync(join(this.bundle, 'shim.pid')) && isAlive(this.daemonPid)) await this.killDaemon();
    rmSync(this.bundle, { recursive: true });
    rmSync(this.state, { recursive: true });
    rmSync(this.program, { recursive: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

function connect(address: string): TtrpcConnection {
  return new TtrpcConnection(createConnection(socketPathOf(address)));
}

test('start prints the address and nothing else, and the daemon behind it answers', async (t) => {
  const stage = await Stage.make(t);
  const { exitCode, stdout, stderr } = await stage.run('start');
  const address = stdout.toString();
  assert.equal(exitCode, 0);
  assert.equal(stderr, '');
  assert.match(address, /^unix:\/\/\/\S+$/);
  assert.equal(readFileSync(join(stage.bundle, 'address'), 'utf8'), address);
  assert.equal(statSync(socketPathOf(address)).mode & 0o777, 0o600, 'only its user may connect');

  await using connection = connect(address);
  const client = createClient(Task, connection);
  await assert.rejects(client.state({ id: 'x' }), { code: 'NotFound', message: /"x": there is none/ });

  const pid = stage.daemonPid;
  await client.shutdown({ id: 'x' });
  await connection.closed;
  while (isAlive(pid)) await sleep(5);
  assert.deepEqual(stage.sockets, []);
});

test('start with a broken config.json says so and leaves nothing behind', async (t) => {
  const stage = await Stage.make(t, '{ nonsense');
  const before = readdirSync(stage.bundle);
  const { exitCode, stdout, stderr } = await stage.run('start');
  assert.equal(exitCode, 1);
  assert.equal(stdout.length, 0);
  assert.match(stderr, /^Cannot use ".*config\.json": it is not JSON/);
  assert.deepEqual(readdirSync(stage.bundle), before);
  assert.deepEqual(stage.sockets, []);
});

test('start replaces the socket of a shim that was killed', async (t) => {
  const stage = await Stage.make(t);
  const first = await stage.run('start');
  await stage.killDaemon();
  assert.equal(stage.sockets.length, 1);
  const second = await stage.run('start');
  assert.equal(second.stdout.toString(), first.stdout.toString());
  await using connection = connect(second.stdout.toString());
  await assert.rejects(createClient(Task, connection).connect({ id: 'x' }), { code: 'NotFound' });
});

test('a container of a pod gets the address of its sandbox, and no shim of its own', async (t) => {
  const annotations = (kind: string) => ({
    annotations: { 'io.kubernetes.cri.container-type': kind, 'io.kubernetes.cri.sandbox-id': 'pod' },
  });
  const stage = await Stage.make(t, annotations('container'));
  const orphan = await stage.run('start', 'member');
  assert.equal(orphan.exitCode, 1);
  assert.match(orphan.stderr, /the shim of its pod sandbox "pod" is not running/);

  writeFileSync(join(stage.bundle, 'config.json'), JSON.stringify(annotations('sandbox')));
  const sandbox = await stage.run('start', 'pod');
  const pid = stage.daemonPid;
  writeFileSync(join(stage.bundle, 'config.json'), JSON.stringify(annotations('container')));
  const member = await stage.run('start', 'member');
  assert.equal(member.stdout.toString(), sandbox.stdout.toString());
  assert.equal(stage.daemonPid, pid);
  assert.equal(stage.sockets.length, 1);
});

test('start tells of a shim that dies before it has an address', async (t) => {
  const stage = await Stage.make(t);
  rmSync(join(stage.program, 'src'));
  mkdirSync(join(stage.program, 'src'));
  writeFileSync(join(stage.program, 'src/main.ts'), 'process.kill(process.pid, "SIGKILL")');
  const { exitCode, stdout, stderr } = await stage.run('start');
  assert.equal(exitCode, 1);
  assert.equal(stdout.length, 0);
  assert.match(stderr, /^Cannot start the shim: it ended before it had an address/);
});

test('a shim is led by nobody, and its outputs are the log of the bundle', async (t) => {
  const stage = await Stage.make(t);
  await stage.run('start');
  const directory = `/proc/${stage.daemonPid}`;
  const log = join(stage.bundle, 'log');
  const outputOf = (fd: number): string => {
    try {
      return readlinkSync(`${directory}/fd/${fd}`);
    } catch {
      return '';
    }
  };
  // It lets go of the launcher's pipe a moment after it has written the address there.
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline && [1, 2].some((fd) => outputOf(fd) !== log)) await sleep(10);
  assert.deepEqual([1, 2].map(outputOf), [log, log]);
  assert.equal(readlinkSync(`${directory}/cwd`), '/');
  const [session] = readFileSync(`${directory}/stat`, 'utf8').split(') ').at(-1)?.split(' ').slice(3) ?? [];
  assert.equal(Number(session), stage.daemonPid);
});

test('delete after a shim that ended well is answered with what that has left', async (t) => {
  const stage = await Stage.make(t);
  rmSync(join(stage.program, 'src'));
  writeFileSync(join(stage.bundle, 'delete.response'), 'what the shim wrote');
  for (const flags of [[], ['-bundle', stage.bundle], [`-bundle=${stage.bundle}`]]) {
    const { exitCode, stdout, stderr } = await stage.run('delete', 'x', flags);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.equal(stdout.toString(), 'what the shim wrote');
  }
});

test('delete after a killed shim answers 137 and removes its socket', async (t) => {
  const stage = await Stage.make(t);
  await stage.run('start');
  await stage.killDaemon();
  writeFileSync(join(stage.bundle, 'init.pid'), '4711');
  const { exitCode, stdout, stderr } = await stage.run('delete', 'x', ['-bundle', stage.bundle]);
  assert.equal(stderr, '');
  assert.equal(exitCode, 0);
  const response = fromBinary(DeleteResponseSchema, stdout);
  assert.equal(response.pid, 4711);
  assert.equal(response.exitStatus, 137);
  assert.ok(response.exitedAt);
  assert.deepEqual(stage.sockets, []);
});

test('delete waits for a killed shim whose last threads have not ended yet', async (t) => {
  const stage = await Stage.make(t);
  const { stdout } = await stage.run('start');
  await stage.killDaemon();
  // Stands in for such threads: what the main thread has left is a zombie, and somebody still listens.
  const path = stdout.toString().replace('unix://', '');
  rmSync(path, { force: true });
  const listener = createServer().listen(`${path}.listener`);
  t.after(() => listener.close());
  await once(listener, 'listening');
  // A server takes its own name away with it.
  linkSync(`${path}.listener`, path);
  const parent = spawn('/bin/sh', ['-c', 'sleep 60 & echo $!; wait'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => parent.kill('SIGKILL'));
  const zombie = Number((await once(parent.stdout, 'data'))[0]);
  parent.kill('SIGSTOP');
  process.kill(zombie, 'SIGKILL');
  while (isAlive(zombie)) await sleep(5);
  writeFileSync(join(stage.bundle, 'shim.pid'), String(zombie));
  let deleted = false;
  const deleting = stage.run('delete', 'x', ['-bundle', stage.bundle]).finally(() => {
    deleted = true;
  });
  await sleep(1000);
  assert.equal(deleted, false);
  listener.close();
  assert.equal((await deleting).exitCode, 0);
  assert.deepEqual(stage.sockets, []);
});

test('delete does not disturb a shim that lives', async (t) => {
  const stage = await Stage.make(t);
  const { stdout } = await stage.run('start');
  const { exitCode } = await stage.run('delete');
  assert.equal(exitCode, 0);
  await using connection = connect(stdout.toString());
  await assert.rejects(createClient(Task, connection).connect({ id: 'x' }), { code: 'NotFound' });
});

test('wrong arguments end with the usage text on stderr and exit code 1', async (t) => {
  const stage = await Stage.make(t);
  const { exitCode, stdout, stderr } = await stage.run('begin');
  assert.equal(exitCode, 1);
  assert.equal(stdout.length, 0);
  assert.match(stderr, /verb "begin" is unknown[\s\S]*Usage:/);
});

test('the launcher finds its program through a link, as on a PATH', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'shim-path-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const link = join(directory, 'containerd-shim-runhcs-v1');
  symlinkSync(launcher, link);
  const { stdout, stderr } = await promisify(execFile)(link, ['-version'], { cwd: '/' });
  assert.match(stdout, /^containerd-shim-runhcs-v1\nversion: \d+\.\d+\.\d+\nspec: 1\./);
  assert.equal(stderr, '');
});
