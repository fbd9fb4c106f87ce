import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EngineName, openPlatform, type Phase, type UtilityVm } from 'hcsshim';
import { Status } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/types/task_pb.ts';
import { buildBusyboxImage, busyboxImageName } from '../../setup/containerd/busybox-image.ts';
import { PrivateContainerd } from '../../setup/containerd/private-containerd.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { programs } from '../../setup/prepare.ts';
import { childrenOf, isAlive, type Shim, ShimStage, until } from '../shim/shim-stage.ts';
import { CommandPlace } from './command-place.ts';

const SIGKILL = 9;
/** Whatever is killed, its end must be known in this time, also on a busy machine. In milliseconds. */
const soon = 20_000;

/** Rejects when `work` takes so long that it may well take for ever. */
function withinSoon<T>(work: Promise<T>): Promise<T> {
  const late = sleep(soon, undefined, { ref: false }).then(() => assert.fail('it takes too long'));
  return Promise.race([work, late]);
}

/** A test with a stage of its own, in which nothing may be left. */
function stageTest(
  name: string,
  options: Parameters<typeof ShimStage.open>[0],
  body: (stage: ShimStage) => Promise<void>,
): void {
  test(name, async () => {
    await using stage = await ShimStage.open(options);
    await body(stage);
    assert.deepEqual(await stage.leftovers(), []);
  });
}

describe('a VM that dies', { timeout: 300_000 }, () => {
  let directory: AsyncDisposable & { path: string };

  before(async () => {
    directory = await temporaryDirectory();
    process.env.HCSSHIM_STATE = join(directory.path, 'state');
  });

  after(async () => {
    const left = await waitForNoLeftovers(join(directory.path, 'state'));
    delete process.env.HCSSHIM_STATE;
    await directory[Symbol.asyncDispose]();
    assert.deepEqual(left, []);
  });

  async function withVm(body: (vm: UtilityVm, qemu: number) => Promise<void>): Promise<void> {
    await using platform = await openPlatform({ engine: 'qemu' });
    await using vm = await platform.createLinuxVm({ id: 'victim' });
    const [qemu] = await childrenOf(process.pid);
    assert.ok(qemu);
    await body(vm, qemu);
  }

  test('of a kernel panic says so, with the words of the kernel', async () => {
    await withVm(async (vm) => {
      const panic = 'echo c > /proc/sysrq-trigger';
      // It may be too late for an answer.
      vm.createProcess({ CommandArgs: ['/bin/busybox', 'sh', '-c', panic] }, {}).catch(() => {});
      const exit = await vm.wait({ signal: AbortSignal.timeout(soon) });
      assert.equal(exit.type, 'UnexpectedExit');
      assert.match(exit.reason, /the guest kernel panicked: sysrq triggered crash/);
      await assert.rejects(vm.guest.dumpStacks(), { code: 'HCS_E_CONNECTION_CLOSED' });
    });
  });

  test('because QEMU is killed names the signal, and no call hangs', async () => {
    await withVm(async (vm, qemu) => {
      const process = await vm.createProcess({ CommandArgs: ['/bin/busybox', 'sleep', '1000'] }, {});
      const waiting = assert.rejects(process.wait());
      globalThis.process.kill(qemu, 'SIGKILL');
      const exit = await vm.wait({ signal: AbortSignal.timeout(soon) });
      assert.deepEqual(exit, { type: 'UnexpectedExit', reason: 'QEMU was killed by signal SIGKILL' });
      await waiting;
    });
  });

  test('a container whose guest hangs while it is made can be given up', async () => {
    await using place = await CommandPlace.make();
    await using platform = await openPlatform({ engine: 'qemu' });
    const patience = new AbortController();
    const hang = (message: unknown): void => {
      if ((message as Phase).name !== 'container: mount disks') return;
      const [qemu] = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').map(Number);
      process.kill(qemu as number, 'SIGSTOP');
      setTimeout(() => patience.abort(new Error('too long')), 100);
    };
    subscribe('hcsshim:phase', hang);
    try {
      const creating = platform.createContainer({
        id: 'hung',
        image: place.image,
        args: ['true'],
        signal: patience.signal,
      });
      await assert.rejects(withinSoon(creating), /too long/);
    } finally {
      unsubscribe('hcsshim:phase', hang);
    }
  });

  test('is ended by force when it hangs', async () => {
    await withVm(async (vm, qemu) => {
      process.kill(qemu, 'SIGSTOP');
      const start = Date.now();
      await vm[Symbol.asyncDispose]();
      assert.ok(Date.now() - start < soon);
      assert.ok(!isAlive(qemu));
    });
  });
});

describe('a task whose', { timeout: 300_000 }, () => {
  /** The end is told as an event, by Wait and by State, its reason in the shim's log; then all can be removed. */
  async function expectEnd(stage: ShimStage, shim: Shim, reason: RegExp): Promise<void> {
    const { id } = shim;
    const { exitStatus } = await shim.client.wait({ id }, { timeoutMs: soon });
    assert.equal(exitStatus, 137);
    assert.equal((await stage.untilEvent(id, '/tasks/exit', id)).exitStatus, 137);
    assert.equal((await shim.client.state({ id })).status, Status.STOPPED);
    await until(`the reason ${reason} in the log`, () => reason.test(shim.log), 5_000).catch(() =>
      assert.match(shim.log, reason),
    );
    await shim.remove();
  }

  stageTest('guest kernel panics', { engine: 'qemu' }, async (stage) => {
    const shim = await stage.start('panic', {
      edit: (spec) => {
        spec.linux = { ...spec.linux, readonlyPaths: [] };
      },
    });
    await shim.launch();
    await shim.exec('e', ['sh', '-c', 'echo c > /proc/sysrq-trigger']).catch(() => {});
    await expectEnd(stage, shim, /the guest kernel panicked: sysrq triggered crash/);
  });

  stageTest('QEMU is killed', { engine: 'qemu' }, async (stage) => {
    const shim = await stage.start('qemu-killed');
    await shim.launch();
    for (const pid of await childrenOf(shim.pid)) process.kill(pid, 'SIGKILL');
    await expectEnd(stage, shim, /QEMU was killed by signal SIGKILL/);
  });

  stageTest('sandbox agent is killed', { engine: 'sandbox' }, async (stage) => {
    const shim = await stage.start('agent-killed');
    await shim.launch();
    const [parent] = await childrenOf(shim.pid);
    const [agent] = await childrenOf(parent as number);
    process.kill(agent as number, 'SIGKILL');
    await expectEnd(stage, shim, /the sandbox's agent was killed/);
  });

  test('VM or sandbox hangs can be killed and deleted', async () => {
    // Half a minute of patience with each, at the same time.
    await Promise.all((['qemu', 'sandbox'] as const).map(killHung));
  });

  async function killHung(engine: EngineName): Promise<void> {
    const id = 'hung';
    await using stage = await ShimStage.open({ engine });
    const shim = await stage.start(id);
    await shim.launch();
    const pids = await descendantsOf(shim.pid);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    assert.equal((await shim.client.state({ id }, { timeoutMs: soon })).status, Status.RUNNING);
    const killing = shim.client.kill({ id, signal: SIGKILL, all: true });
    assert.equal((await shim.client.wait({ id }, { timeoutMs: 30_000 + soon })).exitStatus, 137);
    await killing;
    assert.match(shim.log, /killed task does not end, its VM is ended/);
    await shim.remove();
    assert.ok(!pids.some(isAlive));
    assert.deepEqual(await stage.leftovers(), []);
  }
});

describe('a shim that is killed while it creates', { timeout: 300_000 }, () => {
  // In milliseconds after the request: in the middle of each step of a Create.
  const moments = {
    sandbox: [0, 10, 20, 30, 40, 45, 50, 55, 60, 70, 85, 100, 150, 200, 300],
    qemu: [0, 50, 75, 100, 200, 400, 700, 1000, 1400],
  };
  for (const engine of ['sandbox', 'qemu'] as const) {
    stageTest(`a task on the ${engine} engine leaves nothing`, { engine }, async (stage) => {
      for (const moment of moments[engine]) {
        const id = `after-${moment}-ms`;
        const shim = await stage.start(id);
        // The shim has loaded its code when it has answered.
        await assert.rejects(shim.client.state({ id }), { code: 'NotFound' });
        const creating = shim.client.create({ id, bundle: shim.bundle }).catch(() => {});
        await sleep(moment);
        await shim.kill();
        await creating;
        const { exitCode, stderr } = await stage.run('delete', id);
        assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
        assert.deepEqual(await stage.leftovers(), [], id);
      }
    });
  }

  test('the template of its VM leaves nothing, and the next one makes it', async () => {
    await using cache = await temporaryDirectory();
    await using stage = await ShimStage.open({
      engine: 'qemu',
      environment: { HCSSHIM_CACHE: cache.path },
    });
    const id = 'template';
    const templates = join(cache.path, 'templates');
    const shim = await stage.start(id);
    const creating = shim.client.create({ id, bundle: shim.bundle }).catch(() => {});
    await until('a template in the making', async () => (await entries(templates)).length > 0);
    await sleep(500);
    await shim.kill();
    await creating;
    assert.equal((await stage.run('delete', id)).exitCode, 0);
    assert.deepEqual(await stage.leftovers(), []);

    const next = await stage.start('next', { args: ['true'] });
    await next.launch();
    assert.equal((await next.client.wait({ id: 'next' })).exitStatus, 0);
    await next.remove();
    const made = (await entries(templates)).filter((name) => /^[0-9a-f]{32}$/.test(name));
    assert.equal(made.length, 1, `one template in ${await entries(templates)}`);
    assert.deepEqual(await stage.leftovers(), []);
  });
});

describe('containerd that is killed', { timeout: 300_000 }, () => {
  const runtime = ['--runtime', 'io.containerd.runhcs.v1'];

  test('finds its three tasks again: one that runs, one that has ended, one whose shim has died', async () => {
    await using directory = await temporaryDirectory();
    const state = join(directory.path, 'state');
    await using containerd = await PrivateContainerd.start({
      path: [programs],
      environment: { HCSSHIM_ENGINE: 'sandbox', HCSSHIM_STATE: state },
    });
    const image = join(directory.path, 'busybox.tar');
    await writeFile(image, await buildBusyboxImage());
    const ctr = async (...args: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await containerd.ctr(args);
      assert.equal(exitCode, 0, `ctr ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    await ctr('image', 'import', image);
    const detached = ['run', '-d', ...runtime];
    const annotation = ['--annotation', 'io.hcsshim.engine=qemu'];
    await ctr(...detached, ...annotation, busyboxImageName, 'runs', 'sleep', '1000');
    await ctr(...detached, busyboxImageName, 'orphan', 'sleep', '1000');
    await ctr(...detached, busyboxImageName, 'ends', 'sh', '-c', 'trap "exit 5" TERM; sleep 1000 & wait');
    const pids = await taskPids(containerd);

    await containerd.kill();
    process.kill(pids.orphan as number, 'SIGKILL');
    const [sandbox] = await childrenOf(pids.ends as number);
    process.kill(await containerProcess(sandbox as number, 'trap'), 'SIGTERM');
    await sleep(1_000);
    await containerd.launch();

    await until('the state of all tasks', async () => {
      const { stdout } = await containerd.ctr(['task', 'list']);
      return /^runs\s+\d+\s+RUNNING$/m.test(stdout) && /^ends\s+\d+\s+STOPPED$/m.test(stdout);
    });
    assert.doesNotMatch(await ctr('task', 'list'), /^orphan\s+\d+\s+RUNNING$/m);
    assert.equal(await ctr('task', 'exec', '--exec-id', 'e', 'runs', 'echo', 'still here'), 'still here\n');
    assert.match((await containerd.ctr(['task', 'delete', 'ends'])).stderr, /exit code 5\b/);
    // A container whose task has gone can be removed.
    await ctr('containers', 'delete', 'orphan');
    await ctr('containers', 'delete', 'ends');
    await ctr('task', 'kill', '-s', 'SIGKILL', 'runs');
    await until('the end of the task', async () => /STOPPED/.test(await ctr('task', 'list')));
    assert.match((await containerd.ctr(['task', 'delete', 'runs'])).stderr, /exit code 137\b/);
    await ctr('containers', 'delete', 'runs');
    assert.deepEqual(await waitForNoLeftovers(state), []);
  });

  /** The pid of each task is that of its shim. */
  async function taskPids(containerd: PrivateContainerd): Promise<Record<string, number>> {
    const { stdout } = await containerd.ctr(['task', 'list']);
    const rows = [...stdout.matchAll(/^(\S+)\s+(\d+)\s+RUNNING$/gm)];
    return Object.fromEntries(rows.map(([, id, pid]) => [id, Number(pid)]));
  }

  /** A process below another with that word in its arguments. */
  async function containerProcess(ancestor: number, word: string): Promise<number> {
    for (const pid of await descendantsOf(ancestor)) {
      if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(word)) return pid;
    }
    throw new Error(`Cannot find a process "${word}" below ${ancestor}`);
  }
});

async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hcsshim-kill-'));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

async function entries(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

async function descendantsOf(pid: number): Promise<number[]> {
  const children = await childrenOf(pid);
  return [...children, ...(await Promise.all(children.map(descendantsOf))).flat()];
}
