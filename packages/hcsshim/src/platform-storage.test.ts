import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PlatformStorage } from './platform-storage.ts';

describe('the storage of the platform', () => {
  let directory: string;
  let storage: PlatformStorage;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hcsshim-storage-'));
    storage = new PlatformStorage(directory);
  });
  after(() => rm(directory, { recursive: true, force: true }));

  /** Without the empty disk that all of a size are copies of. */
  async function scratchDisks(): Promise<string[]> {
    const names = await readdir(join(directory, 'scratch'));
    return names.filter((name) => !name.startsWith('template-'));
  }

  test('makes a scratch disk of the size that is asked for, sparse, and removes it', async () => {
    {
      await using scratch = await storage.createScratch(64 * 1024 * 1024);
      const { size, blocks } = await stat(scratch.path);
      assert.equal(size, 64 * 1024 * 1024 + 512);
      assert.ok(blocks * 512 < size / 4, `${blocks} blocks`);
    }
    assert.deepEqual(await scratchDisks(), []);
  });

  test('a root that cannot be had leaves no scratch disk', async () => {
    const image = join(directory, 'none.tar');
    await assert.rejects(storage.prepareRoot({ image }, { scratchBytes: 64 * 1024 * 1024 }), {
      message: new RegExp(`"${image}"`),
    });
    assert.deepEqual(await scratchDisks(), []);
  });

  test('layers of Windows containers are refused elsewhere, in words', {
    skip: process.platform === 'win32',
  }, async () => {
    await assert.rejects(storage.openLayerDriver(), {
      code: 'ERROR_NOT_SUPPORTED',
      message: /^Cannot open the layers of Windows containers: only Windows has them/,
    });
  });
});
