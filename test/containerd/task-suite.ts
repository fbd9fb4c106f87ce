import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBusyboxImage, busyboxImageName } from '../../setup/containerd/busybox-image.ts';
import { type CtrResult, PrivateContainerd } from '../../setup/containerd/private-containerd.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { programs } from '../../setup/prepare.ts';

const runtime = ['--runtime', 'io.containerd.runhcs.v1'];

/** What a user of `ctr` sees of the shim, on one engine. */
export function taskSuite(engine: 'qemu' | 'sandbox'): void {
  describe(`ctr with the shim, ${engine} engine`, { timeout: 900_000 }, () => {
    let directory: string;
    let stateDirectory: string;
    let containerd: PrivateContainerd;
    let count = 0;
    const nextId = (): string => `${engine}-${++count}`;
    const ctr = (...args: string[]): Promise<CtrResult> => containerd.ctr(args);
    const run = (id: string, ...command: string[]): Promise<CtrResult> =>
      ctr('run', '--rm', ...runtime, busyboxImageName, id, ...command);

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'hcsshim-e2e-'));
      stateDirectory = join(directory, 'state');
      await mkdir(stateDirectory, { mode: 0o700 });
      containerd = await PrivateContainerd.start({
        path: [programs],
        environment: {
          HCSSHIM_ENGINE: engine,
          HCSSHIM_STATE: stateDirectory,
          // VM templates are worth sharing with other suites, layers are not.
          ...(engine === 'sandbox' ? { HCSSHIM_CACHE: join(directory, 'cache') } : {}),
        },
      });
      const image = join(directory, 'busybox.tar');
      await writeFile(image, await buildBusyboxImage());
      assert.equal((await ctr('image', 'import', image)).exitCode, 0);
    });

    after(async () => {
      await containerd?.[Symbol.asyncDispose]();
      const left = await waitForNoLeftovers(stateDirectory);
      await rm(directory, { recursive: true, force: true });
      assert.deepEqual(left, []);
    });

    /** Starts a container that stays until it is killed, and removes it at the end. */
    async function longRunning(...command: string[]): Promise<AsyncDisposable & { id: string }> {
      const id = nextId();
      const result = await ctr(
        'run',
        '-d',
        ...runtime,
        busyboxImageName,
        id,
        ...(command.length > 0 ? command : ['sleep', '1000']),
      );
      assert.equal(result.exitCode, 0, result.stderr);
      return {
        id,
        [Symbol.asyncDispose]: async () => {
          await ctr('task', 'kill', '-s', 'SIGKILL', id);
          await ctr('task', 'delete', '-f', id);
          await ctr('containers', 'delete', id);
        },
      };
    }

    test('a container says hello', async () => {
      const { exitCode, stdout, stderr } = await run(nextId(), 'echo', 'Hello World!');
      assert.equal(stdout, 'Hello World!\n', stderr);
      assert.equal(exitCode, 0);
    });

    test('the exit code of the command is the exit code of ctr', async () => {
      assert.equal((await run(nextId(), 'sh', '-c', 'exit 7')).exitCode, 7);
    });

    test('stdout and stderr arrive apart', async () => {
      const { stdout, stderr } = await run(nextId(), 'sh', '-c', 'echo out; echo err >&2');
      assert.equal(stdout, 'out\n');
      assert.match(stderr, /err/);
    });

    test('stdin reaches the command, and its end does too', async () => {
      const input = randomBytes(300_000);
      const { exitCode, stdout, stderr } = await containerd.ctr(
        ['run', '--rm', ...runtime, busyboxImageName, nextId(), 'sha256sum'],
        { input },
      );
      assert.equal(exitCode, 0, stderr);
      assert.equal(stdout.split(' ')[0], createHash('sha256').update(input).digest('hex'));
    });

    test('50 MiB of output arrive byte for byte', async () => {
      const hash = createHash('sha256');
      let bytes = 0;
      const size = 50 * 1024 * 1024;
      const command = `yes 0123456789abcdef | head -c ${size}`;
      const { exitCode, stderr } = await containerd.ctr(
        ['run', '--rm', ...runtime, busyboxImageName, nextId(), 'sh', '-c', command],
        {
          stdout: (chunk) => {
            bytes += chunk.length;
            hash.update(chunk);
          },
        },
      );
      assert.equal(exitCode, 0, stderr);
      assert.equal(bytes, size);
      const line = '0123456789abcdef\n';
      const expected = createHash('sha256')
        .update(line.repeat(Math.ceil(size / line.length)).slice(0, size))
        .digest('hex');
      assert.equal(hash.digest('hex'), expected);
    });

    test('a missing command is an error that names it', async () => {
      const { exitCode, stderr } = await run(nextId(), '/no/such/command');
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /\/no\/such\/command/);
    });

    test('the root file system is writable, and fresh each time', async () => {
      assert.equal((await run(nextId(), 'sh', '-c', 'echo x > /file && cat /file')).stdout, 'x\n');
      assert.equal((await run(nextId(), 'sh', '-c', 'ls /file')).exitCode, 1);
    });

    test('a process that a signal ends has exit code 128 + the signal', async () => {
      await using container = await longRunning();
      const waiting = ctr('task', 'attach', container.id);
      await sleep(300);
      assert.equal((await ctr('task', 'kill', '-s', 'SIGKILL', container.id)).exitCode, 0);
      assert.equal((await waiting).exitCode, 137);
    });

    test('exec runs beside the first process, with its own exit code', async () => {
      await using container = await longRunning();
      const { exitCode, stdout } = await ctr(
        'task',
        'exec',
        '--exec-id',
        'e1',
        container.id,
        'sh',
        '-c',
        'echo from exec; exit 3',
      );
      assert.equal(stdout, 'from exec\n');
      assert.equal(exitCode, 3);
      const processes = await ctr('task', 'ps', container.id);
      assert.equal(processes.exitCode, 0, processes.stderr);
      assert.ok(processes.stdout.trim().split('\n').length >= 2, processes.stdout);
    });

    test('exec of a missing command is an error, and the container lives on', async () => {
      await using container = await longRunning();
      const failed = await ctr('task', 'exec', '--exec-id', 'e1', container.id, '/no/such/command');
      assert.notEqual(failed.exitCode, 0);
      assert.match(failed.stderr, /\/no\/such\/command/);
      assert.match((await ctr('task', 'list')).stdout, new RegExp(`${container.id}\\s+\\d+\\s+RUNNING`));
    });

    test('exec in a container that has ended is refused', async () => {
      await using container = await longRunning();
      await ctr('task', 'kill', '-s', 'SIGKILL', container.id);
      await untilStopped(container.id);
      const { exitCode, stderr } = await ctr('task', 'exec', '--exec-id', 'e1', container.id, 'true');
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /not running|stopped|no running task|precondition/i);
    });

    test('pause freezes the container, resume lets it go on', async () => {
      await using container = await longRunning();
      assert.equal((await ctr('task', 'pause', container.id)).exitCode, 0);
      assert.match((await ctr('task', 'list')).stdout, new RegExp(`${container.id}\\s+\\d+\\s+PAUSED`));
      assert.equal((await ctr('task', 'resume', container.id)).exitCode, 0);
      assert.match((await ctr('task', 'list')).stdout, new RegExp(`${container.id}\\s+\\d+\\s+RUNNING`));
      assert.equal((await ctr('task', 'exec', '--exec-id', 'after', container.id, 'true')).exitCode, 0);
    });

    test('metrics tell of memory and processes', async () => {
      await using container = await longRunning();
      const { exitCode, stdout, stderr } = await ctr('task', 'metrics', container.id);
      assert.equal(exitCode, 0, stderr);
      assert.match(stdout, /memory\.usage_in_bytes\s+\d+/);
    });

    test('a second container with the same id is refused', async () => {
      await using container = await longRunning();
      const { exitCode, stderr } = await run(container.id, 'true');
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /already exists/);
    });

    test('an annotation with a value that makes no sense is refused with the allowed ones', async () => {
      const { exitCode, stderr } = await ctr(
        'run',
        '--rm',
        ...runtime,
        '--annotation',
        'io.microsoft.virtualmachine.computetopology.memory.sizeinmb=lots',
        busyboxImageName,
        nextId(),
        'true',
      );
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /sizeinmb.*"lots".*128/);
    });

    test('events come in the order of containerd', async () => {
      const id = nextId();
      assert.equal((await run(id, 'true')).exitCode, 0);
      const log = await readFile(containerd.logPath, 'utf8');
      const topics = [...log.matchAll(/topic="?(\/tasks\/[a-z-]+)"?/g)].map(([, topic]) => topic);
      const last = topics.slice(topics.lastIndexOf('/tasks/create'));
      assert.deepEqual(last, ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
    });

    test('a killed shim takes its VM along, and the exit is reported', async () => {
      await using container = await longRunning();
      process.kill(await shimPid(container.id), 'SIGKILL');
      await untilStopped(container.id);
    });

    test('a killed VM or agent ends the task', async () => {
      await using container = await longRunning();
      const pids = await systemPids(container.id);
      assert.ok(pids.length > 0);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await untilStopped(container.id);
    });

    test('containerd comes back to a shim that outlived it', async () => {
      await using container = await longRunning();
      await containerd.kill();
      await containerd.launch();
      assert.match((await ctr('task', 'list')).stdout, new RegExp(`${container.id}\\s+\\d+\\s+RUNNING`));
      const { stdout, stderr } = await ctr(
        'task',
        'exec',
        '--exec-id',
        'again',
        container.id,
        'echo',
        'still here',
      );
      assert.equal(stdout, 'still here\n', stderr);
    });

    test('twenty containers at once start and stop cleanly', async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) => run(nextId(), 'echo', `number ${index}`)),
      );
      for (const [index, { exitCode, stdout, stderr }] of results.entries()) {
        assert.equal(stdout, `number ${index}\n`, stderr);
        assert.equal(exitCode, 0);
      }
    });

    test('nothing is left while no container runs', async () => {
      assert.deepEqual(await waitForNoLeftovers(stateDirectory), []);
    });

    async function untilStopped(id: string): Promise<void> {
      const deadline = Date.now() + 20_000;
      let last = '';
      while (Date.now() < deadline) {
        last = (await ctr('task', 'list')).stdout;
        const line = last.split('\n').find((row) => row.startsWith(`${id} `));
        if (!line || /STOPPED|UNKNOWN/.test(line)) return;
        await sleep(100);
      }
      assert.fail(`Task ${id} has not stopped within 20 s:\n${last}`);
    }

    /** The serving shim of a container: the process that has its id in the command line. */
    async function shimPid(id: string): Promise<number> {
      for (const pid of await readdir('/proc')) {
        if (!/^\d+$/.test(pid)) continue;
        const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
        if (args.includes('start') && args.includes(id) && args.some((arg) => /shim\.cjs|main\.ts/.test(arg)))
          return Number(pid);
      }
      throw new Error(`Cannot find the shim of "${id}"`);
    }

    /** The processes that run the system of a container: QEMU, or the sandbox with its agent. */
    async function systemPids(id: string): Promise<number[]> {
      const shim = await shimPid(id);
      const children = await readFile(`/proc/${shim}/task/${shim}/children`, 'utf8');
      return children.trim().split(' ').filter(Boolean).map(Number);
    }
  });
}
