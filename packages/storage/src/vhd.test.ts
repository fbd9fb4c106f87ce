import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeVhdFooter, encodeVhdFooter } from './vhd.ts';

test('the footer of a 4 MiB disk, byte for byte', () => {
  const footer = Buffer.from(encodeVhdFooter(4 * 1024 * 1024));
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
  assert.deepEqual(footer.subarray(84), Buffer.alloc(512 - 84));
});

test('a footer is read back', () => {
  assert.equal(decodeVhdFooter(encodeVhdFooter(20 * 1024 ** 3)).size, 20 * 1024 ** 3);
});

test('same size and seed give the same bytes, another seed another id', () => {
  assert.deepEqual(encodeVhdFooter(4096, 'a'), encodeVhdFooter(4096, 'a'));
  assert.notDeepEqual(encodeVhdFooter(4096, 'a'), encodeVhdFooter(4096, 'b'));
});

test('a damaged footer is refused', () => {
  const footer = encodeVhdFooter(4096);
  for (const at of [0, 45, 64, 70]) {
    const damaged = footer.slice();
    damaged[at] = (damaged[at] as number) ^ 1;
    assert.throws(() => decodeVhdFooter(damaged), /Cannot read the VHD/);
  }
});

test('a size that is no whole number of sectors is refused', () => {
  for (const size of [0, -512, 513, 1.5]) assert.throws(() => encodeVhdFooter(size), /512-byte sectors/);
});
