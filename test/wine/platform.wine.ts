import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { isHcsError, openPlatform, type Platform } from 'hcsshim';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { assertNoSocketsLeaked, createStandInHvSocket } from './hv-socket-stand-in.ts';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const { HCSSHIM_STAND_IN_ENGINE_PORT: port, HCSSHIM_STAND_IN_ENGINE_HVSOCKET_PORT: hvSocketPort } =
  process.env;
// The DLLs read them at their first calls.
if (port !== undefined) process.env.HCSSHIM_STAND_IN_PORT = port;
if (hvSocketPort !== undefined) process.env.HCSSHIM_STAND_IN_HVSOCKET_PORT = hvSocketPort;

describe('the SDK on Windows', { timeout: 110_000 }, () => {
  let directory: string;
  let image: string;

  before(async () => {
    directory = await mkdtemp('Z:\\tmp\\hcs-platform-');
    process.env.HCSSHIM_CACHE = join(directory, 'cache');
    image = join(directory, 'busybox.tar');
    await writeFile(image, await buildBusyboxImage('Z:\\bin\\busybox'));
  });

  after(async () => {
    await rm(directory, { recursive: true, force: true });
    await assertNoSocketsLeaked();
    await assertNothingLeaked();
  });

  /** Wine has no AF_HYPERV, and the sandbox behind the stand-in brings its guest. */
  function open(): Promise<Platform> {
    return openPlatform({ services: { sockets: createStandInHvSocket(), hasGuest: true } });
  }

  test('opens the Host Compute Service of Windows', async () => {
    await using platform = await openPlatform();
    assert.equal(platform.engine, 'windows');
    assert.ok(Array.isArray(await platform.compute.enumerate({ Owners: ['nobody'] })));
  });

  test('refuses an engine of Linux, and a VM without boot files, in words', async () => {
    await assert.rejects(openPlatform({ engine: 'qemu' }), (error) => {
      assert.ok(isHcsError(error, 'ERROR_NOT_SUPPORTED'));
      assert.match(error.message, /^Cannot use the qemu engine: it runs on Linux only, /);
      return true;
    });
    await using platform = await openPlatform({ bootDirectory: directory });
    await assert.rejects(platform.createLinuxVm({ id: 'no-files' }), {
      message: /^Cannot boot a VM from ".+": there is no vmlinux, initrd\.img, rootfs\.vhd in it, /,
    });
  });

  test('runs a container of an image, and leaves no disk but its layers', {
    skip: port === undefined ? 'sandboxes need root' : false,
  }, async () => {
    await using platform = await open();
    {
      await using container = await platform.createContainer({
        id: 'sdk',
        image,
        args: ['sh', '-c', 'echo "Hello World!"; cat; exit 3'],
      });
      const process = await container.start({ stdin: true, stdout: true });
      process.stdin?.end('and to you\n');
      assert.ok(process.stdout);
      assert.equal(await text(process.stdout), 'Hello World!\nand to you\n');
      assert.equal((await container.wait()).exitCode, 3);
      const scratch = await readdir(join(directory, 'cache/scratch'));
      assert.equal(scratch.filter((name) => name.endsWith('.vhd')).length, 1);
    }
    assert.deepEqual(await readdir(join(directory, 'cache/scratch')), []);
    assert.equal((await readdir(join(directory, 'cache/layers'))).length, 1);
    assert.deepEqual(await platform.compute.enumerate({ Ids: ['sdk@vm'] }), []);
  });
});
