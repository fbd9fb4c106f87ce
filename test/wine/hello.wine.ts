import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { LinuxContainer } from '@hcsshim/containers';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { createBlankDisk, createLayerDisk, openImage } from '@hcsshim/storage';
import { type StdioRequest, UtilityVm } from '@hcsshim/uvm';
import { defaultProcess, defaultSpec, type ProcessOptions } from '../../packages/hcsshim/src/default-spec.ts';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { assertNoSocketsLeaked, createStandInHvSocket } from './hv-socket-stand-in.ts';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const { HCSSHIM_STAND_IN_ENGINE_PORT: port, HCSSHIM_STAND_IN_ENGINE_HVSOCKET_PORT: hvSocketPort } =
  process.env;
// The DLLs read them at their first calls.
if (port !== undefined) process.env.HCSSHIM_STAND_IN_PORT = port;
if (hvSocketPort !== undefined) process.env.HCSSHIM_STAND_IN_HVSOCKET_PORT = hvSocketPort;

const image = { Env: ['PATH=/bin'] };
const scratchBytes = 64 * 1024 * 1024;

describe('a container that Windows runs, through computecore.dll and AF_HYPERV', {
  skip: port === undefined ? 'sandboxes need root' : false,
  timeout: 110_000,
}, () => {
  let directory: string;
  let layers: string[];

  before(async () => {
    directory = await mkdtemp('Z:\\tmp\\hcs-hello-');
    const archive = join(directory, 'busybox.tar');
    await writeFile(archive, await buildBusyboxImage('Z:\\bin\\busybox'));
    layers = await makeLayerDisks(archive, directory);
  });

  after(async () => {
    await rm(directory, { recursive: true, force: true });
    await assertNoSocketsLeaked();
    await assertNothingLeaked();
  });

  async function startVm(id: string): Promise<UtilityVm> {
    return UtilityVm.start(
      { compute: createWindowsComputeService(), sockets: createStandInHvSocket() },
      { id, processors: 1 },
    );
  }

  async function createContainer(
    vm: UtilityVm,
    id: string,
    options: ProcessOptions,
  ): Promise<LinuxContainer> {
    const scratch = join(directory, `${id}.vhd`);
    await createBlankDisk({ output: scratch, size: scratchBytes });
    return LinuxContainer.create(vm, {
      id,
      spec: defaultSpec(image, { ...options, hostname: id }),
      layers,
      scratch,
    });
  }

  /** All that it says, and its exit code. */
  async function run(vm: UtilityVm, id: string, args: string[], input = ''): Promise<unknown> {
    await using container = await createContainer(vm, id, { args });
    const stdio: StdioRequest = { stdin: true, stdout: true, stderr: true };
    const init = await container.start(stdio);
    init.stdin?.end(input);
    const [stdout, stderr, exitCode] = await Promise.all([
      text(init.stdout as Readable),
      text(init.stderr as Readable),
      init.wait(),
    ]);
    return { stdout, stderr, exitCode };
  }

  test('prints "Hello World!"', async () => {
    await using vm = await startVm('wine-hello');
    assert.deepEqual(await run(vm, 'hello', ['echo', 'Hello World!']), {
      stdout: 'Hello World!\n',
      stderr: '',
      exitCode: 0,
    });
  });

  test('reads its input to the end, has two outputs, and ends with its exit code', async () => {
    await using vm = await startVm('wine-input');
    const input = 'a line of input\n'.repeat(20_000);
    const ended = await run(vm, 'input', ['sh', '-c', 'cat; echo done >&2; exit 7'], input);
    assert.deepEqual(ended, { stdout: input, stderr: 'done\n', exitCode: 7 });
  });

  test('takes further processes and signals, beside another container of the VM', async () => {
    await using vm = await startVm('wine-two');
    await using first = await createContainer(vm, 'first', { args: ['sleep', '100'] });
    const init = await first.start({});
    assert.deepEqual(await run(vm, 'second', ['hostname']), { stdout: 'second\n', stderr: '', exitCode: 0 });
    const exec = await first.exec(defaultProcess(image, { args: ['hostname'] }), { stdout: true });
    assert.equal(await text(exec.stdout as Readable), 'first\n');
    assert.equal(await exec.wait(), 0);
    assert.equal(await init.kill(9), true);
    assert.equal(await init.wait(), 128 + 9);
  });

  test('that is given up takes its VM along', async () => {
    const vm = await startVm('wine-end');
    await using _ = vm;
    const container = await createContainer(vm, 'endless', { args: ['sleep', '100'] });
    const init = await container.start({ stdout: true });
    const ended = once(init.stdout as Readable, 'close');
    init.stdout?.resume();
    await vm.system.terminate();
    await ended;
    await assert.rejects(init.wait());
    assert.equal((await vm.wait()).type, 'ForcedExit');
  });
});

/** A disk for each layer, the topmost first. */
async function makeLayerDisks(archive: string, directory: string): Promise<string[]> {
  await using image = await openImage(archive);
  const disks: string[] = [];
  for (const [index, layer] of image.layers.entries()) {
    const output = join(directory, `layer${index}.vhd`);
    await createLayerDisk({ archive: await layer.open(), output });
    disks.push(output);
  }
  return disks;
}
