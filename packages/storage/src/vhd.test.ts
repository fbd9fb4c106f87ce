import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { decodeVhdFooter, encodeVhdFooter, readVhd, stripVhdFooter, vhdFooterLength } from './vhd.ts';

const id = new Uint8Array(16).map((_, index) => index + 1);
const invalid = (error: Error): boolean => isHcsError(error, 'ERROR_INVALID_DATA');

test('the footer of a 4 MiB disk, byte for byte', () => {
  const footer = Buffer.from(encodeVhdFooter({ size: 4 * 1024 * 1024, id }));
  assert.equal(
    footer.toString('hex', 0, 64),
    '636f6e6563746978' + // conectix
      '00000002' + // features
      '00010000' + // version
      'ffffffffffffffff' + // no dynamic header
      '00000000' + // time
      '68637473' +
      '00010000' +
      '5769326b' + // creator, its version, its host
      '0000000000400000' +
      '0000000000400000' + // sizes
      '0078' +
      '04' +
      '11' + // 120 cylinders, 4 heads, 17 sectors
      '00000002', // fixed
  );
  assert.equal(footer.length, 512);
  assert.equal(footer.toString('hex', 64, 68), 'fffff000');
  assert.deepEqual(new Uint8Array(footer.subarray(68, 84)), id);
  assert.deepEqual(footer.subarray(84), Buffer.alloc(512 - 84));
});

for (const [size, cylinders, heads, sectors] of [
  [20 * 1024 ** 3, 41610, 16, 63],
  [1024 ** 3, 2080, 16, 63],
  [200 * 1024 ** 2, 825, 16, 31],
  [1024 ** 4, 65535, 16, 255],
] as const) {
  test(`a disk of ${size / 1024 ** 2} MiB has the geometry of the specification`, () => {
    const view = new DataView(encodeVhdFooter({ size, id }).buffer);
    assert.deepEqual([view.getUint16(56), view.getUint8(58), view.getUint8(59)], [cylinders, heads, sectors]);
  });
}

test('a footer is read back', () => {
  const footer = { size: 20 * 1024 ** 3, id };
  assert.deepEqual(decodeVhdFooter(encodeVhdFooter(footer)), footer);
});

test('a damaged footer is refused', () => {
  const footer = encodeVhdFooter({ size: 4096, id });
  for (const at of [0, 45, 64, 70, 511]) {
    const damaged = footer.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.throws(() => decodeVhdFooter(damaged), invalid);
  }
  assert.throws(() => decodeVhdFooter(footer.subarray(1)), invalid);
});

test('a size that is no whole number of sectors is refused', () => {
  for (const size of [0, -512, 513, Number.NaN, 2 ** 60]) {
    assert.throws(() => encodeVhdFooter({ size, id }), /must be a multiple of 512/);
  }
});

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
