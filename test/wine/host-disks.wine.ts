import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LayerCache, NamedScratchDisk, readVhd } from '@hcsshim/storage';
import { ExclusiveFile } from '../../packages/storage/src/exclusive-file.ts';

const size = 16 * 1024 * 1024;

/** Holds the lock at its argument until it is killed. */
const holder = `
  const { openSync } = require('node:fs');
  openSync(process.argv[1], 0x102 | 0x10000040);
  console.log('held');
  setInterval(() => {}, 60_000);
`;

describe('disks of a host that is Windows', { timeout: 60_000 }, () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hcsshim-disks-'));
  });

  after(() => rm(directory, { recursive: true, force: true }));

  test('a lock keeps others out until it is let go, and leaves no file', async () => {
    const path = join(directory, 'one.lock');
    const lock = await ExclusiveFile.open(path);
    assert.equal(ExclusiveFile.tryOpen(path), undefined);
    await assert.rejects(ExclusiveFile.open(path, { signal: AbortSignal.timeout(50) }), {
      name: 'TimeoutError',
    });
    const waiting = ExclusiveFile.open(path);
    lock[Symbol.dispose]();
    {
      using _next = await waiting;
      assert.equal(ExclusiveFile.tryOpen(path), undefined);
    }
    assert.equal(existsSync(path), false);
  });

  test('a lock is free once its holder was killed', async () => {
    const path = join(directory, 'killed.lock');
    const child = spawn(process.execPath, ['-e', holder, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    assert.equal(ExclusiveFile.tryOpen(path), undefined);
    const exit = once(child, 'exit');
    child.kill();
    await exit;
    using lock = await ExclusiveFile.open(path, { signal: AbortSignal.timeout(5_000) });
    assert.ok(lock);
  });

  test('a scratch disk is there until it is disposed of, and what a dead owner left goes with the next one', async () => {
    const scratch = join(directory, 'scratch');
    await mkdir(scratch);
    const abandoned = join(scratch, '00000000-0000-4000-8000-000000000000.vhd');
    await writeFile(abandoned, 'left behind');
    await writeFile(join(scratch, 'notes.txt'), 'not ours');
    const first = await NamedScratchDisk.create({ directory: scratch, size });
    const second = await NamedScratchDisk.create({ directory: scratch, size });
    assert.equal((await readVhd(first.path)).size, size);
    assert.equal(existsSync(abandoned), false);
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(scratch), ['notes.txt']);
  });

  test('a layer that two want at once is converted once', async () => {
    const layer = join(directory, 'layer');
    await mkdir(join(layer, 'etc'), { recursive: true });
    await writeFile(join(layer, 'etc/hostname'), 'wine\n');
    const disks = await Promise.all(
      [1, 2, 3].map(() => new LayerCache(join(directory, 'cache')).ensureLayer(layer)),
    );
    assert.deepEqual(disks.map(({ converted }) => converted).sort(), [false, false, true]);
    assert.deepEqual(await readdir(join(directory, 'cache')), [disks[0]?.path.split('\\').at(-1)]);
  });
});
