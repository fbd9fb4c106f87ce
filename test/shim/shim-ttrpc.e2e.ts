import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient, TtrpcConnection } from '@hcsshim/ttrpc';
import { MetricsSchema } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/cgroups/v1/metrics_pb.ts';
import { ProcessDetailsSchema } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/runc/v1/process_details_pb.ts';
import {
  DeleteResponseSchema,
  Task,
} from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/task/v2/task_pb.ts';
import { Status } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/types/task_pb.ts';
import { RawTtrpc } from './raw-ttrpc.ts';
import { childrenOf, isAlive, ociProcess, processSpec, ShimStage, until } from './shim-stage.ts';

const SIGTERM = 15;
const SIGKILL = 9;

describe('the shim without containerd, sandbox engine', { timeout: 300_000 }, () => {
  let stage: ShimStage;

  before(async () => {
    stage = await ShimStage.open({ engine: 'sandbox' });
  });

  after(async () => {
    const left = await stage.leftovers();
    await stage[Symbol.asyncDispose]();
    assert.deepEqual(left, []);
  });

  test('a task from Create to Delete: states, answers, and events with their exact fields', async () => {
    const id = 'life';
    const shim = await stage.start(id, { args: ['sh', '-c', 'echo out; echo err >&2; read line; exit 7'] });
    const streams = await shim.streams('init', { stdin: true, stdout: true, stderr: true });
    const before = new Date();
    const { pid } = await shim.client.create({ id, bundle: shim.bundle, ...streams.request });
    assert.ok(isAlive(pid), 'the pid of the task is one of this host');
    const { $typeName: _, ...created } = await shim.client.state({ id });
    assert.deepEqual(created, {
      id,
      execId: '',
      bundle: shim.bundle,
      pid,
      status: Status.CREATED,
      ...streams.request,
      exitStatus: 255,
    });

    assert.equal((await shim.client.start({ id })).pid, pid);
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING);
    const { shimPid, taskPid } = await shim.client.connect({ id });
    assert.deepEqual({ shimPid, taskPid }, { shimPid: shim.pid, taskPid: pid });

    const waiting = [shim.client.wait({ id }), shim.client.wait({ id }), shim.client.wait({ id })];
    streams.write('go on\n');
    const exits = await Promise.all(waiting);
    assert.deepEqual(
      exits.map(({ exitStatus }) => exitStatus),
      [7, 7, 7],
    );
    const exitedAt = exits[0]?.exitedAt;
    assert.ok(exitedAt && timestampDate(exitedAt) >= before && timestampDate(exitedAt) <= new Date());
    assert.deepEqual(exits[1]?.exitedAt, exitedAt);
    assert.equal((await shim.client.wait({ id })).exitStatus, 7, 'a wait after the end answers as well');
    assert.equal(await streams.stdout, 'out\n');
    assert.equal(await streams.stderr, 'err\n');
    const stopped = await shim.client.state({ id });
    assert.equal(stopped.status, Status.STOPPED);
    assert.equal(stopped.exitStatus, 7);
    assert.deepEqual(stopped.exitedAt, exitedAt);

    const deleted = await shim.client.delete({ id });
    assert.deepEqual(
      { pid: deleted.pid, exitStatus: deleted.exitStatus, exitedAt: deleted.exitedAt },
      { pid, exitStatus: 7, exitedAt },
    );
    // Delete is answered once its event has been taken.
    const events = stage.eventsOf(id).map(({ topic, namespace, message: { $typeName, ...fields } }) => ({
      topic,
      namespace,
      type: $typeName,
      ...fields,
    }));
    const namespace = ShimStage.namespace;
    assert.deepEqual(
      JSON.parse(inJson(events)),
      JSON.parse(
        inJson([
          {
            topic: '/tasks/create',
            namespace,
            type: 'containerd.events.TaskCreate',
            containerId: id,
            bundle: shim.bundle,
            rootfs: [],
            checkpoint: '',
            pid,
            io: { $typeName: 'containerd.events.TaskIO', ...streams.request },
          },
          { topic: '/tasks/start', namespace, type: 'containerd.events.TaskStart', containerId: id, pid },
          {
            topic: '/tasks/exit',
            namespace,
            type: 'containerd.events.TaskExit',
            containerId: id,
            id,
            pid,
            exitStatus: 7,
            exitedAt,
          },
          {
            topic: '/tasks/delete',
            namespace,
            type: 'containerd.events.TaskDelete',
            containerId: id,
            pid,
            exitStatus: 7,
            id: '',
            exitedAt,
          },
        ]),
      ),
    );
    await assert.rejects(shim.client.state({ id }), { code: 'NotFound' });
    await shim.client.shutdown({ id });
    await shim.closed;
    await until('the end of the shim', () => !isAlive(shim.pid));
  });

  test('exec: added, started, waited for and deleted apart from the task', async () => {
    const id = 'exec';
    const shim = await stage.start(id);
    await shim.launch();
    const streams = await shim.streams('e1', { stdin: true, stdout: true });
    const process = { ...ociProcess(['sh', '-c', 'echo "$NAME in $(pwd)"; read line; exit 5']), cwd: '/tmp' };
    process.env = [...(process.env ?? []), 'NAME=exec'];
    await shim.client.exec({ id, execId: 'e1', ...streams.request, spec: processSpec(process) });
    assert.equal((await shim.client.state({ id, execId: 'e1' })).status, Status.CREATED);
    const { pid } = await shim.client.start({ id, execId: 'e1' });
    assert.ok(pid > 0);
    assert.equal((await shim.client.state({ id, execId: 'e1' })).pid, pid);
    await streams.untilOutput(/exec in \/tmp\n/);

    const { processes } = await shim.client.pids({ id });
    const described = processes.find((one) => one.pid === pid);
    assert.equal(described?.info?.typeUrl, ProcessDetailsSchema.typeName);
    assert.equal(fromBinary(ProcessDetailsSchema, described?.info?.value ?? new Uint8Array()).execId, 'e1');
    const init = await shim.client.state({ id });
    assert.ok(
      processes.some((one) => one.pid === init.pid),
      'the first process is listed under its pid',
    );

    const waiting = Promise.all([
      shim.client.wait({ id, execId: 'e1' }),
      shim.client.wait({ id, execId: 'e1' }),
    ]);
    streams.write('\n');
    for (const { exitStatus } of await waiting) assert.equal(exitStatus, 5);
    assert.equal((await shim.client.delete({ id, execId: 'e1' })).exitStatus, 5);
    await assert.rejects(shim.client.state({ id, execId: 'e1' }), { code: 'NotFound' });
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING);
    assert.deepEqual(
      stage.eventsOf(id).map(({ topic, message }) => [topic, message.execId ?? message.id, message.pid]),
      [
        ['/tasks/create', undefined, init.pid],
        ['/tasks/start', undefined, init.pid],
        ['/tasks/exec-added', 'e1', undefined],
        ['/tasks/exec-started', 'e1', pid],
        ['/tasks/exit', 'e1', pid],
        ['/tasks/delete', 'e1', pid],
      ],
    );
    await shim.remove();
  });

  test('kill: an exec by its id, the task with what runs in it, each with 128 + the signal', async () => {
    const id = 'kill';
    const shim = await stage.start(id);
    await shim.launch();
    await shim.exec('e1', ['sleep', '1000']);
    await shim.exec('e2', ['sleep', '1000']);
    await shim.client.kill({ id, execId: 'e1', signal: SIGTERM });
    assert.equal((await shim.client.wait({ id, execId: 'e1' })).exitStatus, 128 + SIGTERM);
    assert.equal((await shim.client.state({ id, execId: 'e2' })).status, Status.RUNNING);
    await assert.rejects(shim.client.kill({ id, execId: 'e1', signal: SIGTERM }), { code: 'NotFound' });
    await assert.rejects(shim.client.kill({ id, signal: 99 }), {
      code: 'FailedPrecondition',
      message: /signal 99/,
    });
    await shim.client.kill({ id, signal: SIGKILL, all: true });
    assert.equal((await shim.client.wait({ id })).exitStatus, 128 + SIGKILL);
    assert.equal((await shim.client.wait({ id, execId: 'e2' })).exitStatus, 128 + SIGKILL);
    await assert.rejects(shim.client.kill({ id, signal: SIGKILL }), { code: 'NotFound' });
    await shim.remove();
  });

  test('pause stops the task, resume lets it go on, both are told as events', async () => {
    const id = 'pause';
    const shim = await stage.start(id, { args: ['sh', '-c', 'while true; do echo tick; sleep 0.05; done'] });
    const streams = await shim.launch({ stdout: true });
    await streams.untilOutput(/tick\n/);
    await shim.client.pause({ id });
    assert.equal((await shim.client.state({ id })).status, Status.PAUSED);
    // What was on its way when the task stopped has arrived by then.
    await sleep(500);
    const soFar = await streams.untilOutput(/tick/);
    await sleep(500);
    assert.equal(await streams.untilOutput(/tick/), soFar);
    await assert.rejects(shim.client.pause({ id }), { code: 'FailedPrecondition' });
    await assert.rejects(shim.client.exec({ id, execId: 'e', spec: processSpec(ociProcess(['true'])) }), {
      code: 'FailedPrecondition',
      message: /paused/,
    });
    await shim.client.resume({ id });
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING);
    await until('more ticks', async () => (await streams.untilOutput(/tick/)).length > soFar.length);
    await assert.rejects(shim.client.resume({ id }), { code: 'FailedPrecondition' });
    await stage.untilEvent(id, '/tasks/resumed');
    assert.deepEqual(
      stage.eventsOf(id).map(({ topic }) => topic),
      ['/tasks/create', '/tasks/start', '/tasks/paused', '/tasks/resumed'],
    );

    await shim.client.pause({ id });
    await shim.client.kill({ id, signal: SIGKILL });
    assert.equal((await shim.client.wait({ id })).exitStatus, 137, 'also a paused task can be killed');
    await shim.remove();
  });

  test('a terminal has the size that ResizePty gives it', async () => {
    const id = 'terminal';
    const shim = await stage.start(id, { args: ['sh'], terminal: true });
    const streams = await shim.launch({ stdin: true, stdout: true, terminal: true });
    streams.write('tty; stty size\n');
    await streams.untilOutput(/\/dev\/(pts\/\d+|console)\r?\n[\s\S]*24 80/);
    await shim.client.resizePty({ id, width: 132, height: 43 });
    streams.write('stty size\n');
    await streams.untilOutput(/43 132/);

    const exec = await shim.streams('e1', { stdin: true, stdout: true, terminal: true });
    await shim.client.exec({
      id,
      execId: 'e1',
      ...exec.request,
      spec: processSpec({ ...ociProcess(['sh']), terminal: true }),
    });
    await shim.client.start({ id, execId: 'e1' });
    await shim.client.resizePty({ id, execId: 'e1', width: 90, height: 17 });
    exec.write('stty size; exit\n');
    assert.match(await exec.stdout, /17 90/);
    streams.write('exit 3\n');
    assert.equal((await shim.client.wait({ id })).exitStatus, 3);
    await shim.remove();
  });

  test('ResizePty without a terminal is refused', async () => {
    const id = 'no-terminal';
    const shim = await stage.start(id);
    await shim.launch();
    await assert.rejects(shim.client.resizePty({ id, width: 80, height: 24 }), {
      code: 'FailedPrecondition',
    });
    await shim.remove();
  });

  test('CloseIO ends the input, and what came before it arrives', async () => {
    const id = 'close-io';
    const shim = await stage.start(id, { args: ['cat'] });
    const streams = await shim.launch({ stdin: true, stdout: true });
    streams.write('first\n');
    await streams.untilOutput(/first\n/);
    streams.write('last words');
    streams.closeStdin();
    await sleep(200);
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING, 'the shim keeps the input open');
    await shim.client.closeIO({ id, stdin: true });
    assert.equal((await shim.client.wait({ id })).exitStatus, 0);
    assert.equal(await streams.stdout, 'first\nlast words');
    await shim.remove();
  });

  test('stats are the metrics of the container', async () => {
    const id = 'stats';
    const shim = await stage.start(id);
    await shim.launch();
    const { stats } = await shim.client.stats({ id });
    assert.equal(stats?.typeUrl, 'io.containerd.cgroups.v1.Metrics');
    const metrics = fromBinary(MetricsSchema, stats?.value ?? new Uint8Array());
    assert.ok((metrics.memory?.usage?.usage ?? 0n) > 0n);
    assert.ok((metrics.cpu?.usage?.total ?? 0n) > 0n);
    await shim.remove();
  });

  test('what is not supported says so', async () => {
    const id = 'unsupported';
    const shim = await stage.start(id);
    await shim.launch();
    await assert.rejects(shim.client.checkpoint({ id }), { code: 'Unimplemented', message: /checkpoint/ });
    const resources = { typeUrl: 'resources', value: Buffer.from('{"memory":{"limit":1}}') };
    await assert.rejects(shim.client.update({ id, resources }), { code: 'Unimplemented' });
    await shim.remove();
  });

  test('calls that come in the wrong state are refused, and the task goes on', async () => {
    const id = 'states';
    const shim = await stage.start(id);
    const { client } = shim;
    const spec = processSpec(ociProcess(['true']));
    await client.create({ id, bundle: shim.bundle });
    await assert.rejects(client.create({ id, bundle: shim.bundle }), {
      code: 'AlreadyExists',
      message: /"states"/,
    });
    const notRunning = { code: 'FailedPrecondition', message: /created/ };
    await assert.rejects(client.exec({ id, execId: 'e', spec }), notRunning);
    await assert.rejects(client.pause({ id }), notRunning);
    await assert.rejects(client.pids({ id }), notRunning);
    await assert.rejects(client.stats({ id }), notRunning);

    await client.start({ id });
    await assert.rejects(client.start({ id }), { code: 'FailedPrecondition', message: /running/ });
    await assert.rejects(client.delete({ id }), { code: 'FailedPrecondition', message: /running/ });
    await client.exec({ id, execId: 'e', spec });
    await assert.rejects(client.exec({ id, execId: 'e', spec }), { code: 'AlreadyExists' });
    await client.start({ id, execId: 'e' });
    await assert.rejects(client.start({ id, execId: 'e' }), { code: 'FailedPrecondition' });
    assert.equal((await client.wait({ id, execId: 'e' })).exitStatus, 0);
    await assert.rejects(client.exec({ id, execId: 'x', spec: { typeUrl: '', value: Buffer.from('{') } }), {
      code: 'InvalidArgument',
      message: /process "x".*not JSON/,
    });
    await client.shutdown({ id });
    assert.equal((await client.state({ id })).status, Status.RUNNING, 'Shutdown waits for the last task');

    await client.kill({ id, signal: SIGKILL });
    await client.wait({ id });
    await assert.rejects(client.start({ id }), { code: 'FailedPrecondition', message: /exited/ });
    await assert.rejects(client.exec({ id, execId: 'late', spec }), {
      code: 'FailedPrecondition',
      message: /exited/,
    });
    await shim.remove();
  });

  test('unknown ids are NotFound, whatever the call', async () => {
    const id = 'unknown';
    const shim = await stage.start(id);
    await shim.launch();
    const { client } = shim;
    const spec = processSpec(ociProcess(['true']));
    const nobody = { id: 'nobody' };
    const calls = {
      start: () => client.start(nobody),
      state: () => client.state(nobody),
      delete: () => client.delete(nobody),
      exec: () => client.exec({ ...nobody, execId: 'e', spec }),
      kill: () => client.kill({ ...nobody, signal: SIGKILL }),
      wait: () => client.wait(nobody),
      pids: () => client.pids(nobody),
      stats: () => client.stats(nobody),
      pause: () => client.pause(nobody),
      resume: () => client.resume(nobody),
      resizePty: () => client.resizePty({ ...nobody, width: 1, height: 1 }),
      closeIO: () => client.closeIO(nobody),
      connect: () => client.connect(nobody),
      'start of an exec': () => client.start({ id, execId: 'nothing' }),
      'state of an exec': () => client.state({ id, execId: 'nothing' }),
      'delete of an exec': () => client.delete({ id, execId: 'nothing' }),
      'kill of an exec': () => client.kill({ id, execId: 'nothing', signal: SIGKILL }),
      'wait for an exec': () => client.wait({ id, execId: 'nothing' }),
      'resizePty of an exec': () => client.resizePty({ id, execId: 'nothing', width: 1, height: 1 }),
      'closeIO of an exec': () => client.closeIO({ id, execId: 'nothing' }),
    };
    for (const [name, call] of Object.entries(calls))
      await assert.rejects(call(), { code: 'NotFound', message: /"(nobody|nothing)"/ }, name);
    await shim.remove();
  });

  test('a frame over 4 MiB is answered with ResourceExhausted, and the connection lives', async () => {
    const id = 'oversize';
    const shim = await stage.start(id);
    await shim.launch();
    const raw = new RawTtrpc(shim.connect());
    raw.sendHeader(1, 4 * 1024 * 1024 + 1);
    assert.deepEqual(await raw.nextStatus(), { stream: 1, code: 8 });
    for (let chunk = 0; chunk < 4; chunk++) await raw.send(Buffer.alloc(1024 * 1024));
    await raw.send(Buffer.alloc(1));
    await raw.call(3, 'containerd.task.v2.Task', 'State', id);
    assert.deepEqual(await raw.nextStatus(), { stream: 3, code: 0 });
    await shim.remove();
  });

  test('frames that make no sense are answered with an error, and the connection lives', async () => {
    const id = 'malformed';
    const shim = await stage.start(id);
    await shim.launch();
    const raw = new RawTtrpc(shim.connect());
    await raw.sendFrame(1, 1, Buffer.from([0xff, 0xff, 0xff, 0xff]));
    assert.deepEqual(await raw.nextStatus(), { stream: 1, code: 3 });
    await raw.call(2, 'containerd.task.v2.Task', 'State', id);
    assert.deepEqual(await raw.nextStatus(), { stream: 2, code: 3 }, "a client's stream ids are odd");
    await raw.call(5, 'containerd.task.v2.Task', 'Fly', id);
    assert.deepEqual(await raw.nextStatus(), { stream: 5, code: 12 });
    await raw.call(7, 'containerd.task.v3.Task', 'State', id);
    assert.deepEqual(await raw.nextStatus(), { stream: 7, code: 12 });
    await raw.sendFrame(9, 77, Buffer.from('a type of tomorrow'));
    await raw.call(11, 'containerd.task.v2.Task', 'State', id);
    assert.deepEqual(await raw.nextStatus(), { stream: 11, code: 0 });
    await shim.remove();
  });

  test('a peer that leaves in the middle of a frame disturbs nobody', async () => {
    const id = 'leaver';
    const shim = await stage.start(id);
    await shim.launch();
    const waiting = shim.client.wait({ id });
    for (const begin of [Buffer.from([0, 0]), Buffer.from([0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0x0a])]) {
      const raw = new RawTtrpc(shim.connect());
      await raw.send(begin);
      await raw.leave();
    }
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING);
    await shim.client.kill({ id, signal: SIGKILL });
    assert.equal((await waiting).exitStatus, 137);
    await shim.remove();
  });

  test('a client that is lost while it waits takes nothing along', async () => {
    const id = 'lost-client';
    const shim = await stage.start(id);
    await shim.launch();
    const connection = new TtrpcConnection(shim.connect());
    const waiting = createClient(Task, connection).wait({ id });
    waiting.catch(() => {});
    await createClient(Task, connection).state({ id });
    await connection.close();
    await assert.rejects(waiting);
    assert.equal((await shim.client.state({ id })).status, Status.RUNNING);
    await shim.remove();
  });

  test('start prints the address alone; a second start prints the same; delete leaves a living shim alone', async () => {
    const id = 'verbs';
    const bundle = await stage.makeBundle(id);
    const first = await stage.run('start', id);
    assert.deepEqual({ exitCode: first.exitCode, stderr: first.stderr }, { exitCode: 0, stderr: '' });
    const address = first.stdout.toString();
    assert.match(address, new RegExp(`^unix://${stage.state}/s/[0-9a-f]{16}$`));
    assert.equal(readFileSync(join(bundle, 'address'), 'utf8'), address);
    const pid = Number(readFileSync(join(bundle, 'shim.pid'), 'utf8'));

    const second = await stage.run('start', id);
    assert.equal(second.stdout.toString(), address);
    assert.equal(Number(readFileSync(join(bundle, 'shim.pid'), 'utf8')), pid);

    assert.equal((await stage.run('delete', id)).exitCode, 0);
    const connection = new TtrpcConnection(createConnection(address.slice('unix://'.length)));
    await createClient(Task, connection).shutdown({ id });
    await connection.closed;
    await until('the end of the shim', () => !isAlive(pid));
  });

  test('after kill -9 of the shim, delete prints how the task ended and leaves nothing; again is as once', async () => {
    const id = 'killed';
    const shim = await stage.start(id);
    await shim.launch();
    const pids = await childrenOf(shim.pid);
    assert.ok(pids.length > 0);
    const { pid } = shim;
    const before = Math.floor(Date.now() / 1000);
    await shim.kill();
    for (const [attempt, expectedPid] of [pid, 0].entries()) {
      const { exitCode, stdout, stderr } = await stage.run('delete', id);
      assert.deepEqual({ attempt, exitCode, stderr }, { attempt, exitCode: 0, stderr: '' });
      const response = fromBinary(DeleteResponseSchema, stdout);
      assert.equal(response.exitStatus, 137);
      assert.equal(response.pid, expectedPid);
      assert.ok(Number(response.exitedAt?.seconds) >= before);
      assert.deepEqual(
        readdirSync(join(stage.state, 'systems')).filter((name) => name.startsWith(id)),
        [],
      );
      for (const child of pids) assert.ok(!isAlive(child), `process ${child} of the sandbox has gone`);
      assert.ok(!existsSync(shim.address.slice('unix://'.length)), 'the socket has gone');
    }
    await rm(shim.bundle, { recursive: true });
    const { exitCode, stderr } = await stage.run('delete', id);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' }, 'also without the bundle');
  });

  test('the root that containerd mounts elsewhere is taken from its description', async () => {
    const id = 'mounts';
    const shim = await stage.start(id, { args: ['ls', '/bin/busybox'] });
    const source = await stage.makeBundle(`${id}-source`);
    const streams = await shim.streams('init', { stdout: true });
    const rootfs = [{ type: 'bind', source: join(source, 'rootfs'), target: '', options: ['rbind', 'ro'] }];
    await shim.client.create({ id, bundle: shim.bundle, rootfs, ...streams.request });
    await shim.client.start({ id });
    assert.equal((await shim.client.wait({ id })).exitStatus, 0);
    assert.equal(await streams.stdout, '/bin/busybox\n');
    const created = await stage.untilEvent(id, '/tasks/create');
    assert.equal((created.rootfs as typeof rootfs)[0]?.source, rootfs[0]?.source);
    await shim.remove();
  });

  test('Shutdown with "now" ends the shim at once, and its system with it', async () => {
    const id = 'now';
    const shim = await stage.start(id);
    await shim.launch();
    const { pid } = shim;
    const pids = await childrenOf(pid);
    await shim.client.shutdown({ id, now: true }).catch(() => {});
    await until('the end of the shim', () => !isAlive(pid));
    await until('the end of the sandbox', () => !pids.some(isAlive));
    assert.equal((await stage.run('delete', id)).exitCode, 0);
  });
});

describe('the shim without containerd, qemu engine', { timeout: 300_000 }, () => {
  let stage: ShimStage;

  before(async () => {
    stage = await ShimStage.open({ engine: 'qemu' });
  });

  after(async () => {
    const left = await stage.leftovers();
    await stage[Symbol.asyncDispose]();
    assert.deepEqual(left, []);
  });

  test('create, start, exec, pause, resume, stats, wait, delete', async () => {
    const id = 'vm';
    const shim = await stage.start(id, {
      args: ['sh', '-c', 'read line; echo "got $line"; read line; exit 7'],
    });
    const streams = await shim.launch({ stdin: true, stdout: true });
    const exec = await shim.exec('e1', ['sh', '-c', 'echo from the VM; exit 5'], { stdout: true });
    assert.equal((await shim.client.wait({ id, execId: 'e1' })).exitStatus, 5);
    assert.equal(await exec.stdout, 'from the VM\n');
    await shim.client.delete({ id, execId: 'e1' });

    await shim.client.pause({ id });
    assert.equal((await shim.client.state({ id })).status, Status.PAUSED);
    streams.write('while paused\n');
    await shim.client.resume({ id });
    await streams.untilOutput(/got while paused\n/);
    streams.write('after that\n');
    assert.equal((await shim.client.wait({ id })).exitStatus, 7);
    await shim.client.delete({ id });
    assert.deepEqual(
      stage.eventsOf(id).map(({ topic }) => topic.slice('/tasks/'.length)),
      [
        ...['create', 'start', 'exec-added', 'exec-started', 'exit', 'delete'],
        ...['paused', 'resumed', 'exit', 'delete'],
      ],
    );
    await shim.client.shutdown({ id });
    await shim.closed;
  });

  test('metrics, pids and a terminal come from the VM', async () => {
    const id = 'vm-terminal';
    const shim = await stage.start(id, { args: ['sh'], terminal: true });
    const streams = await shim.launch({ stdin: true, stdout: true, terminal: true });
    await shim.client.resizePty({ id, width: 101, height: 31 });
    streams.write('stty size\n');
    await streams.untilOutput(/31 101/);
    const { stats } = await shim.client.stats({ id });
    const metrics = fromBinary(MetricsSchema, stats?.value ?? new Uint8Array());
    assert.ok((metrics.memory?.usage?.usage ?? 0n) > 0n);
    const { pid } = await shim.client.state({ id });
    assert.deepEqual(
      (await shim.client.pids({ id })).processes.map((one) => one.pid),
      [pid],
    );
    await shim.remove();
  });

  test('kill -9 of the shim takes the VM along; delete leaves nothing', async () => {
    const id = 'vm-killed';
    const shim = await stage.start(id);
    await shim.launch();
    const pids = await childrenOf(shim.pid);
    assert.ok(pids.length > 0);
    await shim.kill();
    await until('the end of QEMU', () => !pids.some(isAlive));
    const { exitCode, stdout, stderr } = await stage.run('delete', id);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.equal(fromBinary(DeleteResponseSchema, stdout).exitStatus, 137);
  });
});

/** For comparing messages with plain objects. */
function inJson(value: unknown): string {
  return JSON.stringify(value, (_key, field) => (typeof field === 'bigint' ? String(field) : field));
}
