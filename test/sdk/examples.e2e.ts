import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { root } from '../../setup/prepare.ts';

const folder = join(root, 'packages/hcsshim/examples');
const isRoot = process.geteuid?.() === 0;
const tested = new Set<string>();

interface Run {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

describe('the examples of the SDK', {
  skip: isRoot ? false : 'the sandbox engine needs root',
  timeout: 300_000,
}, () => {
  let directory: string;
  let image: string;
  let state: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hcsshim-examples-'));
    state = join(directory, 'state');
    image = join(directory, 'busybox.tar');
    await writeFile(image, await buildBusyboxImage());
  });
  after(() => rm(directory, { recursive: true, force: true }));

  /** @param around A program that starts it, and that one's arguments. */
  function start(name: string, args: readonly string[], around: readonly string[] = []) {
    tested.add(name);
    const command = [
      ...around,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      join(folder, name),
    ];
    return spawn(command[0] as string, [...command.slice(1), ...args], {
      env: {
        ...process.env,
        HCSSHIM_ENGINE: 'sandbox',
        HCSSHIM_STATE: state,
        HCSSHIM_CACHE: join(directory, 'cache'),
      },
      timeout: 120_000,
    });
  }

  async function run(
    name: string,
    args: readonly string[] = [],
    { input = '', around = [] }: { input?: string; around?: readonly string[] } = {},
  ): Promise<Run> {
    const child = start(name, args, around);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { exitCode, stdout, stderr };
  }

  test('list-systems.ts shows a system that runs, and that it has gone', async () => {
    const child = start('exec.ts', [image]);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    child.stdin.write('hello\n');
    // It answers once its container runs, and ends with its input.
    await new Promise((resolve) => child.stdout.once('data', resolve).once('close', resolve));
    const during = await run('list-systems.ts');
    child.stdin.end();
    assert.equal(await ended, 0);
    const row = new RegExp(`^example-exec-${child.pid}@vm  VirtualMachine  Running  \\S+$`, 'm');
    assert.match(during.stdout, row, during.stderr);
    assert.match(during.stdout, /\n1 compute system\n$/);
    assert.deepEqual(await run('list-systems.ts'), {
      exitCode: 0,
      stdout: '0 compute systems\n',
      stderr: '',
    });
  });

  test('run-container.ts passes on what the command writes, and its exit code', async () => {
    const script = 'echo out; echo err >&2; exit 3';
    assert.deepEqual(await run('run-container.ts', [image, 'sh', '-c', script]), {
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('exec.ts streams through a process in a running container', async () => {
    const lines = Array.from({ length: 5_000 }, (_, index) => `line ${index}\n`).join('');
    const { exitCode, stdout, stderr } = await run('exec.ts', [image], { input: lines });
    assert.equal(stderr, '');
    assert.equal(stdout, `${lines.toUpperCase()}exit code 0, processes left: 1\n`);
    assert.equal(exitCode, 0);
  });

  test('vm-with-disk.ts shows a directory to a VM', async () => {
    const shown = join(directory, 'shown');
    await mkdir(shown);
    await writeFile(join(shown, 'a file'), '');
    const { exitCode, stdout, stderr } = await run('vm-with-disk.ts', [shown]);
    assert.equal(stderr, '');
    assert.match(stdout, /^controller \d, LUN \d+, mounted on \S+\na file\n$/);
    assert.equal(exitCode, 0);
  });

  test('network.ts makes a network, and leaves none', async () => {
    const around = ['unshare', '--net'];
    assert.deepEqual(await run('network.ts', ['10.213.78.0/24', '10.213.78.1'], { around }), {
      exitCode: 0,
      stdout: 'NAT network, address 10.213.78.2, endpoints in the namespace: 1\n',
      stderr: '',
    });
  });

  test('errors.ts tells errors apart', async () => {
    const { exitCode, stdout, stderr } = await run('errors.ts', [image]);
    assert.equal(stderr, '');
    const decisions = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(' '));
    assert.deepEqual(decisions, [
      'open a system that nobody has created: create it first',
      'make a container of a missing image: look at the path',
      'start what is running: look at its state',
      'add a device that the engine has not: do without it',
      'wait for what does not end soon: try again later',
      'pause what has ended: nothing is left to do',
    ]);
    assert.match(stdout, /^ {2}Cannot open compute system "no-such-system": .*HCS_E_SYSTEM_NOT_FOUND/m);
    assert.equal(exitCode, 0);
  });

  test('every example is run here, has a line in the README, and leaves nothing', async () => {
    const readme = await readFile(join(folder, 'README.md'), 'utf8');
    const names = (await readdir(folder)).filter((name) => name.endsWith('.ts')).sort();
    assert.deepEqual([...tested].sort(), names);
    for (const name of names) assert.match(readme, new RegExp(`^- \\[\`${name}\`\\]\\(${name}\\) `, 'm'));
    assert.deepEqual(await waitForNoLeftovers(state), []);
  });
});
