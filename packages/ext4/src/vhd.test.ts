import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStorage } from './byte-storage.ts';
import { Ext4Error } from './ext4-error.ts';
import { appendVhdFooter, encodeVhdFooter, readVhdFooter } from './vhd.ts';

const id = new Uint8Array(16).fill(7);

test('a footer is read back, and any change of it is noticed', () => {
  const disk = new MemoryStorage(new Uint8Array(1 << 20));
  appendVhdFooter(disk, { size: 1 << 20, id });
  assert.equal(disk.size, (1 << 20) + 512);
  assert.deepEqual(readVhdFooter(disk), { size: 1 << 20, id });
  for (const [at, message] of [
    [0, /does not end with a footer/],
    [45, /checksum/],
    [70, /checksum/],
  ] as const) {
    const broken = new MemoryStorage(Uint8Array.from(disk.bytes));
    broken.bytes[(1 << 20) + at]! ^= 1;
    assert.throws(
      () => readVhdFooter(broken),
      (error) => error instanceof Ext4Error && message.test(error.message),
    );
  }
  disk.setSize(4096);
  assert.throws(() => readVhdFooter(disk), /does not end with a footer/);
});

test('the footer has the bytes of the specification', () => {
  // 40 MiB: 963 cylinders of 5 heads with 17 sectors.
  const footer = Buffer.from(encodeVhdFooter({ size: 40 << 20, id }));
  assert.equal(footer.toString('latin1', 0, 8), 'conectix');
  assert.equal(footer.toString('hex', 8, 24), '0000000200010000ffffffffffffffff');
  assert.equal(footer.toString('hex', 40, 64), '0000000002800000000000000280000003c3051100000002');
  assert.equal(Buffer.from(encodeVhdFooter({ size: 2 ** 41, id })).toString('hex', 56, 60), 'ffff10ff');
});

for (const [size, cylinders, heads, sectors] of [
  [20 * 1024 ** 3, 41610, 16, 63],
  [1024 ** 3, 2080, 16, 63],
  [200 * 1024 ** 2, 825, 16, 31],
  [1024 ** 4, 65535, 16, 255],
] as const) {
  test(`a disk of ${size / 1024 ** 2} MiB has the geometry of the specification`, () => {
    const view = Buffer.from(encodeVhdFooter({ size, id }));
    assert.deepEqual([view.readUInt16BE(56), view[58], view[59]], [cylinders, heads, sectors]);
  });
}
