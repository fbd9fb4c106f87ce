import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeVhdFooter, vhdFooterLength } from '@hcsshim/ext4';
import { isHcsError } from '@hcsshim/schema';
import { readVhd, stripVhdFooter } from './vhd.ts';

const id = new Uint8Array(16).map((_, index) => index + 1);
const invalid = (error: Error): boolean => isHcsError(error, 'ERROR_INVALID_DATA');

test('a file is a VHD when its footer fits its length', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-vhd-'));
  try {
    const path = join(directory, 'disk.vhd');
    const disk = Buffer.alloc(8192, 7);
    await writeFile(path, Buffer.concat([disk, encodeVhdFooter({ size: disk.length, id })]));
    assert.deepEqual(await readVhd(path), { size: disk.length, id });
    await stripVhdFooter(path);
    assert.equal((await stat(path)).size, disk.length);
    await assert.rejects(readVhd(path), invalid);
    await assert.rejects(stripVhdFooter(path), invalid);
    await writeFile(path, Buffer.concat([disk, encodeVhdFooter({ size: 4096, id })]));
    await assert.rejects(readVhd(path), /its footer says 4096 bytes, the file holds 8192/);
    await truncate(path, vhdFooterLength - 1);
    await assert.rejects(readVhd(path), invalid);
  } finally {
    await rm(directory, { recursive: true });
  }
});
