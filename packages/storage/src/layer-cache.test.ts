import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { vhdFooterLength } from '@hcsshim/ext4';
import { isHcsError } from '@hcsshim/schema';
import { createDirectoryDisk } from './ext4-image.ts';
import { LayerCache } from './layer-cache.ts';
import { ScratchDisk } from './scratch-disk.ts';
import { readVhd, stripVhdFooter } from './vhd.ts';

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
  await stripVhdFooter(copy);
  const { stdout: fsck } = await run('/sbin/e2fsck', ['-fn', copy]);
  const { stdout: hosts } = await run('/sbin/debugfs', ['-R', 'cat /etc/hosts', copy]);
  return { fsck, hosts };
}

test('a directory becomes an ext4 disk that e2fsck finds clean', async () => {
  const disk = await new LayerCache(join(directory, 'cache')).ensureLayer(layer);
  assert.equal(disk.converted, true);
  const { hosts } = await inspect(disk.path);
  assert.equal(hosts, '127.0.0.1 localhost\n');
  assert.equal((await readVhd(disk.path)).size, disk.bytes - vhdFooterLength);
});

test('the second time nothing is converted, also by another process', async () => {
  const cache = join(directory, 'cache');
  const first = await new LayerCache(cache).ensureLayer(layer, { immutable: true });
  const second = await new LayerCache(cache).ensureLayer(layer, { immutable: true });
  assert.deepEqual(second, { ...first, converted: false });
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
  const giveUp = new AbortController();
  const conversion = new LayerCache(cache).ensure('key', async (output) => {
    await writeFile(`${output}.tmp`, 'half');
    giveUp.abort(new Error('enough'));
    await createDirectoryDisk({ directory: layer, output, signal: giveUp.signal });
  });
  await assert.rejects(conversion, /enough/);
  await new LayerCache(cache).ensure('key', (output) => createDirectoryDisk({ directory: layer, output }));
  assert.deepEqual(await readdir(cache), ['key.vhd'], 'neither a lock nor a half-written file');
});

test('a disk that is damaged is made again', async () => {
  const cache = new LayerCache(join(directory, 'cache'));
  const { path, bytes } = await cache.ensureLayer(layer);
  for (const damage of [
    () => truncate(path, bytes - 4096),
    () => truncate(path, 0),
    async () => {
      await using file = await open(path, 'r+');
      await file.write(new Uint8Array(4096), 0, 4096, 0);
    },
  ]) {
    await damage();
    assert.equal((await cache.ensureLayer(layer)).converted, true);
    assert.equal((await inspect(path)).hosts, '127.0.0.1 localhost\n');
  }
  assert.equal((await cache.ensureLayer(layer)).converted, false);
});

test('a directory that changes while it is read is refused', async () => {
  const cache = join(directory, 'cache');
  const big = await open(join(layer, 'big'), 'w');
  await big.write(Buffer.alloc(1 << 20));
  let writing = true;
  const writer = (async () => {
    for (let at = 0; writing; at++) await big.write('x', at);
  })();
  try {
    await assert.rejects(new LayerCache(cache).ensureLayer(layer), (error: Error) =>
      isHcsError(error, 'HCS_E_INVALID_STATE'),
    );
  } finally {
    writing = false;
    await writer;
    await big.close();
  }
  assert.deepEqual(await readdir(cache), []);
});

test('a directory that is not there is named', async () => {
  await assert.rejects(
    new LayerCache(join(directory, 'cache')).ensureLayer('/no/such/layer'),
    (error: Error) => isHcsError(error, 'ERROR_FILE_NOT_FOUND') && error.message.includes('"/no/such/layer"'),
  );
});

test('a snapshot that takes the path and the inode of a deleted one is another', async () => {
  const cache = new LayerCache(join(directory, 'cache'));
  const { path } = await cache.ensureLayer(layer, { immutable: true });
  const { ino } = await stat(layer);
  await rm(layer, { recursive: true });
  await mkdir(layer);
  const again = await cache.ensureLayer(layer, { immutable: true });
  assert.notEqual(again.path, path, `inode ${ino} and now ${(await stat(layer)).ino}`);
});

test('two processes that ask at once convert once', async () => {
  const script = `
    const { LayerCache } = await import(${JSON.stringify(new URL('./layer-cache.ts', import.meta.url).href)});
    const disk = await new LayerCache(process.argv[1]).ensureLayer(process.argv[2], { immutable: true });
    console.log(disk.converted);`;
  const ask = () =>
    run(process.execPath, ['--input-type=module', '-e', script, join(directory, 'cache'), layer]);
  const answers = await Promise.all([ask(), ask()]);
  assert.deepEqual(answers.map(({ stdout }) => stdout.trim()).sort(), ['false', 'true']);
});

test('a process that is killed while it converts leaves nothing that stays', async () => {
  const cache = join(directory, 'cache');
  const script = `
    const { LayerCache } = await import(${JSON.stringify(new URL('./layer-cache.ts', import.meta.url).href)});
    const { writeFileSync } = await import('node:fs');
    await new LayerCache(process.argv[1]).ensure('key', async (output) => {
      writeFileSync(output + '.x.tmp', 'half');
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});
    });`;
  await assert.rejects(run(process.execPath, ['--input-type=module', '-e', script, cache]), {
    signal: 'SIGKILL',
  });
  assert.deepEqual((await readdir(cache)).sort(), ['key.lock', 'key.vhd.x.tmp']);
  await new LayerCache(cache).ensure('key', (output) => createDirectoryDisk({ directory: layer, output }));
  assert.deepEqual(await readdir(cache), ['key.vhd']);
});

test('prune removes what was used longest ago until the rest is small enough', async () => {
  const cache = new LayerCache(join(directory, 'cache'));
  const [old, recent] = [
    await cache.ensure('old', (output) => createDirectoryDisk({ directory: layer, output })),
    await cache.ensure('recent', (output) => createDirectoryDisk({ directory: layer, output })),
  ];
  await utimes(old.path, 1, 1);
  const { blocks } = await stat(recent.path);
  assert.deepEqual(await cache.prune({ maxBytes: 1 << 30 }), []);
  assert.deepEqual(await cache.prune({ maxBytes: blocks * 512 }), [old.path]);
  assert.deepEqual(await cache.prune(), [], 'it may not have been attached yet');
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
