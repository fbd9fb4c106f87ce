import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { LayerCache } from './layer-cache.ts';
import { ScratchDisk } from './scratch-disk.ts';
import { decodeVhdFooter, vhdFooterLength } from './vhd.ts';

const run = promisify(execFile);
let directory: string;
let layer: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hcsshim-layers-'));
  layer = join(directory, 'layer');
  await mkdir(join(layer, 'etc'), { recursive: true });
  await writeFile(join(layer, 'etc/hosts'), '127.0.0.1 localhost\n');
  await symlink('hosts', join(layer, 'etc/link'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

/** Copies the file system out of a VHD and lets e2fsck and debugfs look at it. */
async function inspect(path: string): Promise<{ fsck: string; hosts: string }> {
  const copy = join(directory, 'copy.ext4');
  await run('cp', ['--sparse=always', path, copy]);
  await truncate(copy, (await stat(copy)).size - vhdFooterLength);
  const { stdout: fsck } = await run('/sbin/e2fsck', ['-fn', copy]);
  const { stdout: hosts } = await run('/sbin/debugfs', ['-R', 'cat /etc/hosts', copy]);
  return { fsck, hosts };
}

test('a directory becomes an ext4 disk that e2fsck finds clean', async () => {
  const disk = await new LayerCache(join(directory, 'cache')).ensureLayer(layer);
  assert.equal(disk.converted, true);
  const { hosts } = await inspect(disk.path);
  assert.equal(hosts, '127.0.0.1 localhost\n');
  const bytes = await readFile(disk.path);
  assert.equal(decodeVhdFooter(bytes.subarray(-vhdFooterLength)).size, bytes.length - vhdFooterLength);
});

test('the second time nothing is converted, also by another process', async () => {
  const cache = join(directory, 'cache');
  const first = await new LayerCache(cache).ensureLayer(layer, { immutable: true });
  const second = await new LayerCache(cache).ensureLayer(layer, { immutable: true });
  assert.deepEqual(second, { path: first.path, converted: false });
});

test('a changed directory is converted again', async () => {
  const cache = new LayerCache(join(directory, 'cache'));
  const first = await cache.ensureLayer(layer);
  await writeFile(join(layer, 'etc/hosts'), '::1 localhost    \n');
  const second = await cache.ensureLayer(layer);
  assert.notEqual(second.path, first.path);
  assert.equal((await inspect(second.path)).hosts, '::1 localhost    \n');
});

test('two that ask at once convert once', async () => {
  const cache = join(directory, 'cache');
  const disks = await Promise.all([
    new LayerCache(cache).ensureLayer(layer),
    new LayerCache(cache).ensureLayer(layer),
  ]);
  assert.deepEqual(disks.map(({ converted }) => converted).sort(), [false, true]);
});

test('a lock whose owner died is taken over', async () => {
  const cache = join(directory, 'cache');
  const { path } = await new LayerCache(cache).ensureLayer(layer);
  await rm(path);
  await writeFile(path.replace(/vhd$/, 'lock'), '999999999 1');
  assert.equal((await new LayerCache(cache).ensureLayer(layer)).converted, true);
});

test('a conversion that is given up leaves nothing', async () => {
  const cache = join(directory, 'cache');
  await assert.rejects(
    new LayerCache(cache).ensureLayer(layer, { immutable: true, signal: AbortSignal.abort() }),
  );
  assert.deepEqual(await readdir(cache), []);
});

test('prune removes what is unused', async () => {
  const cache = new LayerCache(join(directory, 'cache'));
  const { path } = await cache.ensureLayer(layer);
  assert.deepEqual(await cache.prune({ unusedFor: 60_000 }), []);
  assert.deepEqual(await cache.prune({ unusedFor: 0 }), [path]);
});

test('a scratch disk is sparse, has no name, and is gone when it is closed', async () => {
  const scratches = join(directory, 'scratch');
  let path: string;
  {
    await using scratch = await ScratchDisk.create({ directory: scratches });
    path = scratch.path;
    const { size, blocks } = await stat(path);
    assert.equal(size, 20 * 1024 ** 3 + vhdFooterLength);
    assert.ok(blocks * 512 < 2 ** 20, `${blocks * 512} bytes are allocated`);
    await using file = await open(path, 'r+');
    await file.write('x', 1024 ** 3);
    assert.deepEqual((await readdir(scratches)).length, 1, 'only the template has a name');
  }
  await assert.rejects(stat(path));
});
