import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { HcsError } from '@hcsshim/schema';
import { type Client, createClient, TtrpcConnection, TtrpcServer } from '@hcsshim/ttrpc';
import { EventSink } from './containerd.fake.ts';
import { EventPublisher } from './event-publisher.ts';
import { MetricsSchema } from './generated/containerd/cgroups/v1/metrics_pb.ts';
import { ProcessDetailsSchema } from './generated/containerd/runc/v1/process_details_pb.ts';
import { OptionsSchema } from './generated/containerd/runhcs/v1/options_pb.ts';
import { type CreateTaskRequestSchema, Task } from './generated/containerd/task/v2/task_pb.ts';
import { Status } from './generated/containerd/types/task_pb.ts';
import { Log } from './log.ts';
import { type FakeContainer, FakeHost } from './task-host.fake.ts';
import { TaskService } from './task-service.ts';

const log = new Log(-1, {}, 'error');
const memoryAnnotation = 'io.microsoft.virtualmachine.computetopology.memory.sizeinmb';

/** A task service on a real TTRPC connection, with a host and a containerd that belong to the test. */
class Stage {
  readonly bundle = mkdtempSync(join(tmpdir(), 'shim-task-'));
  readonly host = new FakeHost();
  readonly shutdowns: boolean[] = [];
  readonly sink: EventSink;
  readonly client: Client<typeof Task>;
  readonly connection: TtrpcConnection;
  readonly service: TaskService;

  private constructor(sink: EventSink, events: EventPublisher, path: string) {
    this.sink = sink;
    this.connection = new TtrpcConnection(createConnection(path));
    this.client = createClient(Task, this.connection);
    this.service = new TaskService({
      host: this.host,
      events,
      log,
      startOptions: Promise.resolve(undefined),
      onShutdown: (now) => this.shutdowns.push(now),
    });
  }

  static async make(t: TestContext): Promise<Stage> {
    const sink = await EventSink.open();
    const events = new EventPublisher({ address: sink.address, namespace: 'test', log, retryPause: 5 });
    const server = new TtrpcServer();
    const listener = createServer();
    server.listen(listener);
    const directory = mkdtempSync(join(tmpdir(), 'shim-service-'));
    const path = join(directory, 'shim.sock');
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    const stage = new Stage(sink, events, path);
    server.register(Task, stage.service);
    writeFileSync(
      join(stage.bundle, 'config.json'),
      JSON.stringify({
        ociVersion: '1.0.2',
        process: { args: ['sh'], cwd: '/', user: {} },
        annotations: { own: 'yes' },
      }),
    );
    t.after(async () => {
      await stage.connection.close();
      await server.close();
      await events[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
      for (const path of [stage.bundle, directory]) rmSync(path, { recursive: true });
    });
    return stage;
  }

  get container(): FakeContainer {
    return this.host.container;
  }

  create(request: MessageInitShape<typeof CreateTaskRequestSchema> = {}) {
    return this.client.create({ id: 'x', bundle: this.bundle, ...request });
  }

  exec(execId: string, request: { terminal?: boolean; stderr?: string } = {}) {
    const spec = Buffer.from(JSON.stringify({ args: ['ls'], cwd: '/', user: {} }));
    return this.client.exec({ id: 'x', execId, spec: { typeUrl: 'process', value: spec }, ...request });
  }

  async run(): Promise<void> {
    await this.create();
    await this.client.start({ id: 'x' });
  }

  async status(execId = ''): Promise<Status> {
    return (await this.client.state({ id: 'x', execId })).status;
  }
}

test('a task goes from created to running to stopped, with its events in that order', async (t) => {
  const stage = await Stage.make(t);
  const { client, sink } = stage;
  const rootfs = [{ type: 'overlay', source: 'overlay', options: ['lowerdir=/a'] }];
  assert.equal((await stage.create({ rootfs })).pid, 4242);
  assert.deepEqual(stage.container.request.rootfs, rootfs);
  assert.equal(await stage.status(), Status.CREATED);
  assert.equal((await client.connect({ id: 'x' })).taskPid, 4242);
  assert.equal((await client.connect({ id: 'x' })).shimPid, process.pid);
  assert.equal(readFileSync(join(stage.bundle, 'init.pid'), 'utf8'), '4242');

  assert.equal((await client.start({ id: 'x' })).pid, 4242);
  assert.equal(await stage.status(), Status.RUNNING);
  assert.equal((await client.state({ id: 'x' })).exitStatus, 255);
  const waiting = client.wait({ id: 'x' });
  stage.container.init.exit(3);
  const exit = await waiting;
  assert.equal(exit.exitStatus, 3);
  assert.equal(await stage.status(), Status.STOPPED);

  const deleted = await client.delete({ id: 'x' });
  assert.equal(deleted.exitStatus, 3);
  assert.equal(deleted.pid, 4242);
  assert.deepEqual(deleted.exitedAt, exit.exitedAt);
  assert.deepEqual(stage.container.calls, ['delete']);
  assert.deepEqual(sink.topics, ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
  assert.equal(sink.event('/tasks/exit').id, 'x');
  assert.equal(sink.event('/tasks/exit').exitStatus, 3);
  await assert.rejects(client.state({ id: 'x' }), { code: 'NotFound' });
});

test('an exec has a life and events of its own', async (t) => {
  const stage = await Stage.make(t);
  const { client, sink } = stage;
  await stage.run();
  await stage.exec('e');
  assert.equal(await stage.status('e'), Status.CREATED);
  assert.equal((await client.start({ id: 'x', execId: 'e' })).pid, 8);
  stage.container.process(1).exit(5);
  assert.equal((await client.wait({ id: 'x', execId: 'e' })).exitStatus, 5);
  assert.equal((await client.delete({ id: 'x', execId: 'e' })).exitStatus, 5);
  assert.equal(await stage.status(), Status.RUNNING);
  assert.deepEqual(sink.topics.slice(2), [
    '/tasks/exec-added',
    '/tasks/exec-started',
    '/tasks/exit',
    '/tasks/delete',
  ]);
  assert.equal(sink.event('/tasks/exit').id, 'e');
  await assert.rejects(client.state({ id: 'x', execId: 'e' }), { code: 'NotFound' });
});

test('what a state does not allow is a failed precondition that names the state', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  const refuses = (work: Promise<unknown>, message: RegExp) =>
    assert.rejects(work, { code: 'FailedPrecondition', message });
  await stage.create();
  await refuses(stage.exec('e'), /the task is created, it must be running/);
  await refuses(client.pause({ id: 'x' }), /the task is created/);
  await client.start({ id: 'x' });
  await refuses(client.start({ id: 'x' }), /Cannot start task "x": it is running/);
  await refuses(client.delete({ id: 'x' }), /it is running, it must be exited/);
  await refuses(client.resume({ id: 'x' }), /it is not paused/);
  await refuses(client.resizePty({ id: 'x', width: 1, height: 1 }), /Cannot resize the terminal/);
  await refuses(client.kill({ id: 'x', execId: 'e', signal: 9, all: true }), /with an exec id "all"/);
  for (const signal of [0, 32, 99]) await refuses(client.kill({ id: 'x', signal }), /it is unknown/);
  stage.container.init.exit(0);
  await client.wait({ id: 'x' });
  await refuses(stage.exec('e'), /the task is exited/);
  await refuses(client.stats({ id: 'x' }), /the task is exited/);
});

test('what is there twice, or not at all, is said so', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  await stage.run();
  await assert.rejects(stage.create(), { code: 'AlreadyExists' });
  await stage.exec('e');
  await assert.rejects(stage.exec('e'), { code: 'AlreadyExists' });
  await assert.rejects(client.kill({ id: 'x', execId: 'other', signal: 9 }), { code: 'NotFound' });
  await assert.rejects(client.start({ id: 'y' }), { code: 'NotFound' });
  await assert.rejects(client.checkpoint({ id: 'x' }), { code: 'Unimplemented' });
  await assert.rejects(client.exec({ id: 'x', execId: 'f' }), { code: 'InvalidArgument' });
});

test('a terminal has no stderr, and only a terminal has a size', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  await assert.rejects(stage.create({ terminal: true, stderr: '/dev/null' }), { code: 'FailedPrecondition' });
  assert.equal(stage.host.containers.length, 0);
  await stage.create({ terminal: true, stdout: '/dev/null' });
  assert.equal(stage.container.request.spec.process?.terminal, true);
  await client.resizePty({ id: 'x', width: 80, height: 24 });
  await client.start({ id: 'x' });
  assert.deepEqual(stage.container.init.stdio, { stdin: false, stdout: true, stderr: false, terminal: true });
  assert.deepEqual(stage.container.init.sizes, [], 'a size set before the start is ignored');
  await client.resizePty({ id: 'x', width: 100, height: 30 });
  assert.deepEqual(stage.container.init.sizes, [{ columns: 100, rows: 30 }]);
  await stage.exec('e', { terminal: true });
  await client.start({ id: 'x', execId: 'e' });
  assert.equal(stage.container.process(1).spec?.terminal, true);
  await assert.rejects(stage.exec('f', { terminal: true, stderr: '/dev/null' }), {
    code: 'FailedPrecondition',
  });
});

test('a failed create leaves nothing, and its error keeps code and words', async (t) => {
  const stage = await Stage.make(t);
  stage.host.failure = new HcsError({
    action: 'Cannot do it',
    problem: 'no idea',
    code: 'ERROR_NOT_SUPPORTED',
  });
  await assert.rejects(stage.create(), { code: 'Unimplemented', message: /^Cannot do it: no idea/ });
  stage.host.failure = undefined;
  assert.deepEqual(stage.sink.topics, []);
  assert.equal(existsSync(join(stage.bundle, 'init.pid')), false);
  await stage.create();
  writeFileSync(join(stage.bundle, 'config.json'), '[');
  await assert.rejects(stage.create({ id: 'y' }), { code: 'InvalidArgument', message: /it is not JSON/ });
  assert.deepEqual(stage.host.forgotten, ['x', 'y']);
});

test('a create whose connection is lost is given up', async (t) => {
  const stage = await Stage.make(t);
  const reached = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  stage.host.onCreate = async (signal) => {
    signal?.addEventListener('abort', () => aborted.resolve());
    reached.resolve();
    await aborted.promise;
    signal?.throwIfAborted();
  };
  const creating = stage.create();
  creating.catch(() => {});
  await reached.promise;
  await stage.connection.close();
  await assert.rejects(creating);
  await aborted.promise;
  assert.equal(stage.host.containers.length, 0);
});

test('a shim that goes away gives up what it is making, and makes nothing new', async (t) => {
  const stage = await Stage.make(t);
  const reached = Promise.withResolvers<void>();
  let cleared = false;
  stage.host.onCreate = async (signal) => {
    reached.resolve();
    await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    await sleep(5);
    cleared = true;
    signal?.throwIfAborted();
  };
  const refused = { code: 'Unavailable', message: /Cannot create task "x": the shim is ending/ };
  const creating = assert.rejects(stage.create(), refused);
  await reached.promise;
  await stage.service.abandonTasks();
  assert.equal(cleared, true, 'what was made is undone before the shim goes');
  await creating;
  await assert.rejects(stage.create(), refused);
  assert.equal(stage.service.isEmpty, true);
});

test('a container that was made when the shim went away goes too', async (t) => {
  const stage = await Stage.make(t);
  const reached = Promise.withResolvers<void>();
  const made = Promise.withResolvers<void>();
  stage.host.onCreate = () => {
    reached.resolve();
    return made.promise;
  };
  const creating = stage.create().catch(() => {});
  await reached.promise;
  const abandoning = stage.service.abandonTasks();
  made.resolve();
  await abandoning;
  await creating;
  assert.deepEqual(stage.container.calls, ['delete']);
});

test('a start that fails leaves a stopped process with exit code 1', async (t) => {
  const stage = await Stage.make(t);
  await stage.create();
  stage.container.failure = new Error('Cannot run "nonsense": it is not there');
  await assert.rejects(stage.client.start({ id: 'x' }), { message: /Cannot run "nonsense"/ });
  const state = await stage.client.state({ id: 'x' });
  assert.equal(state.status, Status.STOPPED);
  assert.equal(state.exitStatus, 1);
  assert.equal((await stage.client.delete({ id: 'x' })).exitStatus, 1);
  assert.deepEqual(stage.sink.topics, ['/tasks/create', '/tasks/exit', '/tasks/delete']);
});

test('a start that finds a FIFO gone ends what it has started', async (t) => {
  const stage = await Stage.make(t);
  const stdout = join(stage.bundle, 'stdout');
  await promisify(execFile)('mkfifo', [stdout]);
  await stage.create({ stdout });
  rmSync(stdout);
  await assert.rejects(stage.client.start({ id: 'x' }), { message: /Cannot open stream ".*stdout"/ });
  assert.deepEqual(stage.container.init.signals, [9]);
  assert.equal(stage.container.init.stdout?.destroyed, true);
  assert.equal((await stage.client.wait({ id: 'x' })).exitStatus, 1);
  assert.equal(await stage.status(), Status.STOPPED);
  await stage.client.delete({ id: 'x' });
  assert.deepEqual(stage.sink.topics, ['/tasks/create', '/tasks/exit', '/tasks/delete']);
});

test('a process that starts while its container is lost is let go', async (t) => {
  const stage = await Stage.make(t);
  await stage.create({ stdout: '/dev/null' });
  const reached = Promise.withResolvers<void>();
  const launch = Promise.withResolvers<void>();
  stage.container.onLaunch = () => {
    reached.resolve();
    return launch.promise;
  };
  const starting = assert.rejects(stage.client.start({ id: 'x' }), { code: 'FailedPrecondition' });
  await reached.promise;
  stage.container.lose('QEMU was killed by signal SIGKILL');
  assert.equal((await stage.client.wait({ id: 'x' })).exitStatus, 137);
  launch.resolve();
  await starting;
  const { init } = stage.container;
  assert.deepEqual(init.signals, [9]);
  assert.equal(init.stdout?.destroyed, true);
  init.stdout?.emit('error', new Error('the connection to the guest is gone'));
});

test('a process killed before its start has exit code 1; deleted before it, 0', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  await stage.exec('killed');
  await stage.client.kill({ id: 'x', execId: 'killed', signal: 15 });
  assert.equal((await stage.client.wait({ id: 'x', execId: 'killed' })).exitStatus, 1);
  await stage.exec('deleted');
  assert.equal((await stage.client.delete({ id: 'x', execId: 'deleted' })).exitStatus, 0);
  assert.equal(stage.sink.topics.includes('/tasks/exit'), false, 'an exec that never started does not exit');
});

test('signals go to the process, with "all" to the execs too; to an ended one they are not found', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  await stage.run();
  await stage.exec('e');
  await client.start({ id: 'x', execId: 'e' });
  await client.kill({ id: 'x', signal: 15 });
  await client.kill({ id: 'x', signal: 10, all: true });
  assert.deepEqual(stage.container.init.signals, [15, 10]);
  assert.deepEqual(stage.container.process(1).signals, [10]);
  stage.container.process(1).exit(0);
  await client.wait({ id: 'x', execId: 'e' });
  await assert.rejects(client.kill({ id: 'x', execId: 'e', signal: 9 }), { code: 'NotFound' });
});

test('the end of the first process ends its execs and releases the container', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  await stage.run();
  await stage.exec('created');
  await stage.exec('running');
  await client.start({ id: 'x', execId: 'running' });
  stage.container.init.exit(0);
  assert.equal((await client.wait({ id: 'x', execId: 'created' })).exitStatus, 1);
  stage.container.process(1).exit(137);
  assert.equal((await client.wait({ id: 'x', execId: 'running' })).exitStatus, 137);
  await client.delete({ id: 'x' });
  assert.deepEqual(stage.container.calls, ['delete']);
});

test('a VM that goes away takes its processes with it', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  stage.container.lose('QEMU was killed by signal SIGKILL');
  assert.equal((await stage.client.wait({ id: 'x' })).exitStatus, 137);
  assert.equal((await stage.client.delete({ id: 'x' })).exitStatus, 137);
});

test('an exit code that cannot be known is 255', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  stage.container.init.vanish();
  assert.equal((await stage.client.wait({ id: 'x' })).exitStatus, 255);
});

test('a paused task says so, refuses what needs the guest, and can be killed', async (t) => {
  const stage = await Stage.make(t);
  const { client } = stage;
  await stage.run();
  await client.pause({ id: 'x' });
  assert.equal(await stage.status(), Status.PAUSED);
  await assert.rejects(stage.exec('e'), { code: 'FailedPrecondition', message: /the task is paused/ });
  await assert.rejects(client.kill({ id: 'x', signal: 15 }), { code: 'FailedPrecondition' });
  await client.resume({ id: 'x' });
  assert.equal(await stage.status(), Status.RUNNING);
  await client.pause({ id: 'x' });
  await client.kill({ id: 'x', signal: 9 });
  assert.equal((await client.wait({ id: 'x' })).exitStatus, 137);
  assert.deepEqual(stage.container.calls, ['pause', 'resume', 'pause', 'delete']);
  assert.deepEqual(stage.sink.topics.slice(2), [
    '/tasks/paused',
    '/tasks/resumed',
    '/tasks/paused',
    '/tasks/exit',
  ]);
});

test('pids are those of the guest, but for the first process, which containerd knows already', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  await stage.exec('e');
  await stage.client.start({ id: 'x', execId: 'e' });
  const { processes } = await stage.client.pids({ id: 'x' });
  assert.deepEqual(
    processes.map(({ pid, info }) => [pid, info && fromBinary(ProcessDetailsSchema, info.value).execId]),
    [
      [4242, undefined],
      [8, 'e'],
    ],
  );
  assert.equal(processes[1]?.info?.typeUrl, 'containerd.runc.v1.ProcessDetails');
});

test('statistics are cgroup metrics, with numbers beyond those of JavaScript', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  stage.container.metrics = {
    pids: { current: 3 },
    cpu: { usage: { total: 12, per_cpu: [5, 7] } },
    memory: { hierarchical_memory_limit: 2 ** 64, rss: 4096.5, later: 1 },
    blkio: null,
  };
  const { stats } = await stage.client.stats({ id: 'x' });
  assert.equal(stats?.typeUrl, 'io.containerd.cgroups.v1.Metrics');
  const metrics = fromBinary(MetricsSchema, stats.value);
  assert.equal(metrics.pids?.current, 3n);
  assert.deepEqual(metrics.cpu?.usage?.perCpu, [5n, 7n]);
  assert.equal(metrics.memory?.hierarchicalMemoryLimit, 2n ** 64n - 1n);
  assert.equal(metrics.memory?.rss, 4096n);
  assert.ok(metrics.memory?.usage, 'containerd looks into it without asking');
});

test('an update reaches the container as the resources of the OCI specification', async (t) => {
  const stage = await Stage.make(t);
  await stage.run();
  const value = Buffer.from('{"memory":{"limit":1048576}}');
  await stage.client.update({ id: 'x', resources: { typeUrl: 'LinuxResources', value } });
  assert.deepEqual(stage.container.updates, [{ memory: { limit: 1048576 } }]);
  await assert.rejects(stage.client.update({ id: 'x' }), { code: 'InvalidArgument' });
});

test('runtime options become annotations, which the spec overrides', async (t) => {
  const stage = await Stage.make(t);
  const options = create(OptionsSchema, {
    vmMemorySizeInMb: 512,
    defaultContainerAnnotations: { own: 'no', extra: 'yes' },
  });
  await stage.create({
    options: { typeUrl: OptionsSchema.typeName, value: toBinary(OptionsSchema, options) },
  });
  assert.deepEqual(stage.container.request.spec.annotations, {
    [memoryAnnotation]: '512',
    own: 'yes',
    extra: 'yes',
  });
});

test('shutdown is ignored while a task is left, unless it is for now', async (t) => {
  const stage = await Stage.make(t);
  await stage.create();
  await stage.client.shutdown({ id: 'x' });
  assert.deepEqual(stage.shutdowns, []);
  await stage.client.shutdown({ id: 'x', now: true });
  assert.deepEqual(stage.shutdowns, [true]);
  await stage.client.delete({ id: 'x' });
  await stage.client.shutdown({ id: 'x' });
  assert.deepEqual(stage.shutdowns, [true, false]);
});
