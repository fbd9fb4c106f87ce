import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatIpv4,
  formatPrefix,
  ipv4Bytes,
  isIn,
  lastOf,
  maskOf,
  networkOf,
  overlaps,
  parseIpv4,
  parsePrefix,
} from './ipv4.ts';

const address = fc.integer({ min: 0, max: 0xffffffff });
const length = fc.integer({ min: 0, max: 32 });
const prefix = fc
  .tuple(address, length)
  .map(([one, bits]) => ({ network: networkOf(one, bits), length: bits }));

test('addresses and prefixes come back from their text', () => {
  fc.assert(
    fc.property(address, prefix, (one, subnet) => {
      assert.equal(parseIpv4(formatIpv4(one)), one);
      assert.equal(Buffer.from(ipv4Bytes(one)).readUInt32BE(), one);
      assert.deepEqual(parsePrefix(formatPrefix(subnet)), subnet);
    }),
  );
});

test('a prefix holds its first and last address and those between, by its mask', () => {
  fc.assert(
    fc.property(prefix, address, (subnet, one) => {
      assert.ok(isIn(subnet, subnet.network) && isIn(subnet, lastOf(subnet)));
      assert.equal(isIn(subnet, one), one >= subnet.network && one <= lastOf(subnet));
      assert.equal((one & maskOf(subnet.length)) >>> 0, networkOf(one, subnet.length));
    }),
  );
});

test('prefixes overlap when they have an address in common', () => {
  fc.assert(
    fc.property(prefix, prefix, (one, other) => {
      const haveCommon = one.network <= lastOf(other) && other.network <= lastOf(one);
      assert.equal(overlaps(one, other), haveCommon);
    }),
  );
});

test('what is no address or prefix is none', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '::1',
    '1e1.2.3.4',
  ])
    assert.equal(parseIpv4(text), undefined, text);
  for (const text of [
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.1/24',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '/8',
  ])
    assert.equal(parsePrefix(text), undefined, text);
  assert.deepEqual(parsePrefix('0.0.0.0/0'), { network: 0, length: 0 });
});
