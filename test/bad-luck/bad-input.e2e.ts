import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../../setup/prepare.ts';
import { ociProcess, processSpec, ShimStage } from '../shim/shim-stage.ts';
import { CommandPlace, type CommandResult, nobody, unreachable } from './command-place.ts';

/** The command has failed as a tool does, in one sentence that says these things. */
function assertRefused({ exitCode, stdout, stderr }: CommandResult, ...says: RegExp[]): void {
  assert.equal(exitCode, 125, stderr);
  assert.equal(stdout, '');
  for (const pattern of says) assert.match(stderr, pattern);
  assert.match(stderr, /^hcsshim: Cannot /m);
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+\)?$/m, 'no stack trace');
}

type PlaceTest = (place: CommandPlace) => Promise<void>;

describe('hcsshim run, when something is wrong', { timeout: 300_000 }, () => {
  /** A test with a place of its own, in which nothing may be left. */
  function placeTest(name: string, body: PlaceTest, skip: string | false = false): void {
    test(name, { skip }, async () => {
      await using place = await CommandPlace.make();
      await body(place);
      assert.deepEqual(await place.leftovers(), []);
    });
  }

  placeTest(
    'a directory without boot files is named, with all that it lacks and how to get it',
    async (place) => {
      const empty = join(place.directory, 'empty');
      await mkdir(empty);
      const result = await place.run(['run', '--engine', 'qemu', place.image, '--', 'true'], {
        environment: { HCSSHIM_BOOT: empty },
      });
      assertRefused(result, /vmlinux, initrd\.img, rootfs\.vhd/, /npm run boot:build/, /HCSSHIM_BOOT/);
      assert.ok(result.stderr.includes(`"${empty}"`));
    },
  );

  placeTest('a root disk that is missing is named, and only that', async (place) => {
    const half = join(place.directory, 'half');
    await mkdir(half);
    for (const name of ['vmlinux', 'initrd.img']) await symlink(join(root, 'out', name), join(half, name));
    const result = await place.run(['run', '--engine', 'qemu', place.image, '--', 'true'], {
      environment: { HCSSHIM_BOOT: half },
    });
    assertRefused(result, /there is no rootfs\.vhd in it/);
  });

  placeTest(
    'the sandbox engine tells who is not root what to do instead',
    async (place) => {
      const home = await place.home(nobody);
      const environment = {
        HCSSHIM_STATE: join(home, 'state'),
        HCSSHIM_CACHE: join(home, 'cache'),
        HOME: home,
      };
      const result = await place.run(['run', '--engine', 'sandbox', place.image, '--', 'true'], {
        user: nobody,
        environment,
      });
      assertRefused(result, /need root/, /--engine qemu/);
      assert.deepEqual(await place.leftovers(environment.HCSSHIM_STATE), []);
    },
    unreachable,
  );

  placeTest(
    'a state directory that may not be written is named',
    async (place) => {
      const result = await place.run(['run', '--engine', 'qemu', place.image, '--', 'true'], {
        user: nobody,
        environment: { HCSSHIM_CACHE: join(await place.home(nobody), 'cache') },
      });
      assertRefused(result, /set HCSSHIM_STATE/);
      assert.ok(result.stderr.includes(`"${place.state}"`), result.stderr);
    },
    unreachable,
  );

  placeTest('without QEMU on the PATH its package is named', async (place) => {
    const path = await pathWithout(place, /^qemu/);
    const result = await place.run(['run', '--engine', 'qemu', place.image, '--', 'true'], {
      environment: { PATH: path },
    });
    assertRefused(result, /qemu-system-x86_64/, /install QEMU \(Debian package qemu-system-x86\)/);
  });

  placeTest('without an OCI runtime the sandbox says which ones it looked for', async (place) => {
    const path = await pathWithout(place, /^(crun|runc)$/);
    const result = await place.run(['run', '--engine', 'sandbox', place.image, '--', 'true'], {
      environment: { PATH: path },
    });
    assertRefused(result, /there is no crun and no runc, install one of them/);
  });

  placeTest('an engine that does not exist is refused with those that do', async (place) => {
    for (const refused of [
      await place.run(['run', '--engine', 'hyperv', place.image, '--', 'true']),
      await place.run(['run', place.image, '--', 'true'], { environment: { HCSSHIM_ENGINE: 'hyperv' } }),
    ]) {
      assert.notEqual(refused.exitCode, 0);
      assert.match(refused.stderr, /hyperv[\s\S]*qemu[\s\S]*sandbox/);
    }
  });

  placeTest('a file that is no image is refused in words', async (place) => {
    const image = join(place.directory, 'noise.tar');
    await writeFile(image, 'this is not a tar archive'.repeat(1000));
    const result = await place.run(['run', '--engine', 'sandbox', image, '--', 'true']);
    assertRefused(result, /noise\.tar/);
  });

  placeTest('what a guest says cannot steer the terminal', async (place) => {
    const result = await place.run(['run', '--engine', 'sandbox', place.image, '--', 'no\u001b[31mred']);
    assertRefused(result, /no\\x1b\[31mred/);
    assert.ok(!result.stderr.includes('\u001b'), result.stderr);
  });

  placeTest('numbers that make no sense are refused', async (place) => {
    const run = ['run', '--engine', 'sandbox'];
    assertRefused(
      await place.run([...run, '--memory', 'lots', place.image, '--', 'true']),
      /--memory "lots"/,
    );
    assertRefused(await place.run([...run, '--scratch', '-1', place.image, '--', 'true']), /--scratch "-1"/);
    assertRefused(
      await place.run([...run, '--id', '../up', place.image, '--', 'true']),
      /"\.\.\/up".*letters/,
    );
  });

  placeTest('a second container with the same id is refused, and the first runs on', async (place) => {
    const run = ['run', '--engine', 'sandbox', '--id', 'twin', place.image, '--'];
    const first = place.start([...run, 'sh', '-c', 'trap "exit 0" TERM; echo up; sleep 1000 & wait']);
    await once(first.stdout as NodeJS.ReadableStream, 'data');
    assertRefused(await place.run([...run, 'true']), /"twin@vm"/, new RegExp(`process ${first.pid} owns`));
    assert.match((await place.run(['ps', '-q'])).stdout, /^twin$/m);
    const exited = once(first, 'exit');
    assert.equal((await place.run(['stop', 'twin'])).exitCode, 0);
    await exited;
  });

  placeTest('exec in a container whose owner was killed says that it does not run', async (place) => {
    const run = ['run', '--engine', 'sandbox', '--id', 'dead', place.image, '--'];
    const owner = place.start([...run, 'sh', '-c', 'echo up; sleep 1000']);
    await once(owner.stdout as NodeJS.ReadableStream, 'data');
    const exited = once(owner, 'exit');
    owner.kill('SIGKILL');
    await exited;
    assertRefused(await place.run(['exec', 'dead', '--', 'true']), /"dead"/, /hcsshim ps/);
    assert.equal((await place.run(['ps', '-q'])).stdout, '');
    assert.match((await place.run(['doctor'])).stdout, /"dead@vm"/);
  });
});

describe('the shim, when something is wrong', { timeout: 300_000 }, () => {
  /** A test with a stage of its own, in which nothing may be left even while its shim still serves. */
  function stageTest(name: string, body: (stage: ShimStage) => Promise<void>): void {
    test(name, async () => {
      await using stage = await ShimStage.open({ engine: 'sandbox' });
      await body(stage);
      assert.deepEqual(await stage.leftovers(), []);
    });
  }

  stageTest('start refuses a config.json that is no JSON, and leaves no shim behind', async (stage) => {
    const bundle = await stage.makeBundle('start');
    await writeFile(join(bundle, 'config.json'), '{"ociVersion": "1.0.2", ');
    const before = await readdir(bundle);
    const { exitCode, stdout, stderr } = await stage.run('start', 'start');
    assert.equal(exitCode, 1);
    assert.equal(stdout.length, 0);
    assert.match(stderr, /^Cannot use ".*config\.json": it is not JSON/);
    assert.deepEqual(await readdir(bundle), before);
  });

  const refusals: { name: string; config: (spec: Record<string, unknown>) => unknown; error: object }[] = [
    {
      name: 'a config.json that is no JSON',
      config: () => '{"ociVersion": ',
      error: { code: 'InvalidArgument', message: /config\.json": it is not JSON/ },
    },
    {
      name: 'a config.json that is no object',
      config: () => [],
      error: { code: 'InvalidArgument', message: /config\.json": it must be a JSON object/ },
    },
    {
      name: 'an engine that does not exist',
      config: (spec) => ({ ...spec, annotations: { 'io.hcsshim.engine': 'hyperv' } }),
      error: { code: 'InvalidArgument', message: /"hyperv".*"qemu" or "sandbox"/ },
    },
    {
      name: 'an annotation that makes no sense',
      config: (spec) => ({
        ...spec,
        annotations: { 'io.microsoft.container.storage.scratch.sizeingb': '-3' },
      }),
      error: { code: 'InvalidArgument', message: /sizeingb".*"-3".*from 1 to 16384/ },
    },
    {
      name: 'a mount of a host directory',
      config: (spec) => ({
        ...spec,
        mounts: [{ destination: '/data', type: 'bind', source: '/srv', options: ['rbind'] }],
      }),
      error: { code: 'Unimplemented', message: /"\/srv" at "\/data".*not supported yet/ },
    },
    {
      name: 'a root that is not there',
      config: (spec) => ({ ...spec, root: { path: 'nowhere' } }),
      error: { message: /nowhere".*there is no such file or directory/ },
    },
    {
      name: 'a spec without a process',
      config: ({ process: _, ...spec }) => spec,
      error: { code: 'InvalidArgument', message: /process/ },
    },
    {
      name: 'arguments that are no list',
      config: (spec) => ({ ...spec, process: { ...(spec.process as object), args: 'sh' } }),
      error: { code: 'InvalidArgument', message: /args/ },
    },
  ];

  for (const { name, config, error } of refusals) {
    stageTest(`Create refuses ${name}, and takes the right thing afterwards`, async (stage) => {
      const id = 'refused';
      const shim = await stage.start(id, { args: ['true'] });
      const path = join(shim.bundle, 'config.json');
      const good = await readJson(path);
      const bad = config(good);
      await writeFile(path, typeof bad === 'string' ? bad : JSON.stringify(bad));
      await assert.rejects(shim.client.create({ id, bundle: shim.bundle }), error);
      await assert.rejects(shim.client.state({ id }), { code: 'NotFound' });
      assert.deepEqual(stage.eventsOf(id), []);
      assert.deepEqual(await systems(stage), []);

      await writeFile(path, JSON.stringify(good));
      await shim.launch();
      assert.equal((await shim.client.wait({ id })).exitStatus, 0);
      await shim.remove();
    });
  }

  stageTest('a command that does not exist is named by Start, and the task can be deleted', async (stage) => {
    const id = 'no-command';
    const shim = await stage.start(id, { args: ['/no/such/command'] });
    await shim.client.create({ id, bundle: shim.bundle });
    await assert.rejects(shim.client.start({ id }), { message: /\/no\/such\/command/ });
    assert.equal((await shim.client.wait({ id })).exitStatus, 1);
    await shim.remove();
  });

  stageTest('exec in a container that has ended is refused', async (stage) => {
    const id = 'ended';
    const shim = await stage.start(id, { args: ['true'] });
    await shim.launch();
    await shim.client.wait({ id });
    await assert.rejects(shim.client.exec({ id, execId: 'late', spec: processSpec(ociProcess(['true'])) }), {
      code: 'FailedPrecondition',
      message: /task is exited, it must be running/,
    });
    await shim.remove();
  });

  stageTest('streams that are not there are named by Create', async (stage) => {
    const id = 'streams';
    const shim = await stage.start(id, { args: ['true'] });
    await assert.rejects(shim.client.create({ id, bundle: shim.bundle, stdout: '/nowhere/stdout' }), {
      code: 'NotFound',
      message: /\/nowhere\/stdout/,
    });
    await assert.rejects(shim.client.create({ id, bundle: shim.bundle, stdout: 'ftp://example/x' }), {
      code: 'InvalidArgument',
      message: /ftp:/,
    });
    await shim.launch();
    await shim.client.wait({ id });
    await shim.remove();
  });
});

/** Links to all programs of the system, but for some. */
async function pathWithout(place: CommandPlace, unwanted: RegExp): Promise<string> {
  const directory = join(place.directory, 'bin');
  await mkdir(directory);
  for (const folder of ['/usr/bin', '/usr/sbin', '/bin', '/sbin']) {
    for (const name of await readdir(folder)) {
      if (!unwanted.test(name)) await symlink(join(folder, name), join(directory, name)).catch(() => {});
    }
  }
  return directory;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8'));
}

async function systems(stage: ShimStage): Promise<string[]> {
  return readdir(join(stage.state, 'systems')).catch(() => []);
}
