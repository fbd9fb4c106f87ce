import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { cimUsage, destroyCim } from './cim-files.ts';

const id = '04030201-0605-0807-090a-0b0c0d0e0f10';

function header(count: number, major = 3): Buffer {
  const bytes = Buffer.alloc(72);
  bytes.write('cimfile0');
  bytes.writeUInt32LE(72, 8);
  bytes.writeUInt32LE(major, 16);
  Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex').copy(bytes, 32);
  bytes.writeUInt16LE(count, 48);
  return bytes;
}

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'cim-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe('the files of an image', () => {
  test('are found by the GUID and the number in its header, as many as there are', async () => {
    await using directory = await folder();
    const path = join(directory.path, 'layer.cim');
    await writeFile(path, header(2));
    for (const [name, size] of [
      [`region_${id}_0`, 100],
      [`region_${id}_1`, 20],
      [`objectid_${id}_0`, 3],
      [`region_${id}_2`, 4000],
      ['other.cim', 50_000],
    ] as const)
      await writeFile(join(directory.path, name), Buffer.alloc(size));
    assert.equal(await cimUsage(path), 123n);
    await destroyCim(path);
    assert.deepEqual((await readdir(directory.path)).sort(), ['other.cim', `region_${id}_2`]);
    await assert.rejects(destroyCim(path), (error) => isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
  });

  test('stay where the header is none, too short, or of a version that is not known', async () => {
    await using directory = await folder();
    const path = join(directory.path, 'layer.cim');
    const region = join(directory.path, `region_${id}_0`);
    await writeFile(region, '');
    for (const bytes of [
      Buffer.alloc(0),
      header(1).subarray(0, 55),
      Buffer.alloc(72),
      header(1, 1),
      header(1, 4),
    ]) {
      await writeFile(path, bytes);
      await assert.rejects(destroyCim(path), (error) => {
        assert.ok(isHcsError(error, 'ERROR_INVALID_DATA'));
        assert.match(error.message, /^Cannot destroy image ".*layer\.cim": cannot read its header: it is /);
        return true;
      });
    }
    assert.ok(existsSync(region) && existsSync(path));
  });
});
