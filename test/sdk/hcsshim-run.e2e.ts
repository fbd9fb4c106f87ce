import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { programs } from '../../setup/prepare.ts';

interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

for (const engine of ['sandbox', 'qemu'] as const) {
  describe(`hcsshim run, ${engine} engine`, { timeout: 600_000 }, () => {
    let directory: string;
    let image: string;
    let state: string;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'hcsshim-run-'));
      image = join(directory, 'busybox.tar');
      state = join(directory, 'state');
      await writeFile(image, await buildBusyboxImage());
    });

    after(async () => {
      const left = await waitForNoLeftovers(state);
      await rm(directory, { recursive: true, force: true });
      assert.deepEqual(left, []);
    });

    function start(...args: string[]): ReturnType<typeof spawn> {
      return spawn(join(programs, 'hcsshim'), args, {
        env: {
          ...process.env,
          HCSSHIM_STATE: state,
          HCSSHIM_ENGINE: engine,
          ...(engine === 'sandbox' ? { HCSSHIM_CACHE: join(directory, 'cache') } : {}),
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
    }

    async function hcsshim(args: string[], input = ''): Promise<Outcome> {
      const child = start(...args);
      const output = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const)
        child[name]?.on('data', (chunk) => (output[name] += chunk));
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
      const [code] = (await once(child, 'close')) as [number | null];
      return { exitCode: code ?? -1, ...output };
    }

    test('runs a command of an image, and exits with its exit code', async () => {
      const { stdout, stderr, exitCode } = await hcsshim([
        'run',
        image,
        '--',
        'sh',
        '-c',
        'echo hello; exit 5',
      ]);
      assert.equal(stdout, 'hello\n', stderr);
      assert.equal(exitCode, 5);
    });

    test('-i hands standard input through', async () => {
      assert.equal((await hcsshim(['run', '-i', image, '--', 'cat'], 'from outside')).stdout, 'from outside');
    });

    test('a missing command is an error in words, exit code 125', async () => {
      const { exitCode, stderr } = await hcsshim(['run', image, '--', '/no/such/command']);
      assert.equal(exitCode, 125);
      assert.match(stderr, /\/no\/such\/command/);
    });

    test('a missing image is an error that names it', async () => {
      const { exitCode, stderr } = await hcsshim(['run', join(directory, 'absent.tar'), '--', 'true']);
      assert.equal(exitCode, 125);
      assert.match(stderr, /absent\.tar/);
    });

    test('ps lists it, exec runs in it, stop ends it', async () => {
      const owner = start('run', '--id', `listed-${engine}`, image, '--', 'sleep', '1000');
      const exited = once(owner, 'exit');
      const deadline = Date.now() + 60_000;
      while (!(await hcsshim(['ps', '-q'])).stdout.includes(`listed-${engine}`)) {
        assert.ok(Date.now() < deadline && owner.exitCode === null, 'the container shows up in ps');
        await sleep(200);
      }
      assert.match((await hcsshim(['ps'])).stdout, new RegExp(`listed-${engine} +${engine} .*sleep 1000`));
      const executed = await hcsshim(
        ['exec', '-i', `listed-${engine}`, '--', 'sh', '-c', 'cat; exit 4'],
        'into exec',
      );
      assert.equal(executed.stdout, 'into exec', executed.stderr);
      assert.equal(executed.exitCode, 4);
      const stopped = await hcsshim(['stop', '-t', '1', `listed-${engine}`]);
      assert.equal(stopped.stdout, `listed-${engine}\n`, stopped.stderr);
      await exited;
      assert.equal((await hcsshim(['ps', '-q'])).stdout, '');
    });

    test('exec in a container that does not run is an error', async () => {
      const { exitCode, stderr } = await hcsshim(['exec', 'nobody', '--', 'true']);
      assert.equal(exitCode, 125);
      assert.match(stderr, /"nobody".*hcsshim ps/);
    });

    test('a reader that goes away ends the command, as it would outside', async () => {
      const child = start('run', image, '--', 'yes');
      await once(child.stdout as NodeJS.ReadableStream, 'data');
      child.stdout?.destroy();
      const [code] = (await once(child, 'exit')) as [number | null];
      // SIGPIPE, or yes saw the error and said so.
      assert.ok(code === 141 || code === 1, `exit code ${code}`);
    });

    test('an interrupt stops a container that ignores it, when it comes twice at once', async () => {
      const child = start('run', image, '--', 'sh', '-c', 'echo up; sleep 1000');
      await once(child.stdout as NodeJS.ReadableStream, 'data');
      child.kill('SIGINT');
      await sleep(500);
      child.kill('SIGINT');
      const [code] = (await once(child, 'exit')) as [number | null];
      assert.equal(code, 137);
    });

    test('kill -9 of the owner leaves nothing behind', async () => {
      const owner = start('run', image, '--', 'sh', '-c', 'echo up; sleep 1000');
      await once(owner.stdout as NodeJS.ReadableStream, 'data');
      owner.kill('SIGKILL');
      await once(owner, 'exit');
      await hcsshim(['doctor']);
      assert.deepEqual(await waitForNoLeftovers(state), []);
    });
  });
}
