import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { struct } from './struct.ts';

describe('a structure of C', () => {
  const mixed = struct({
    flags: 'BYTE',
    count: 'USHORT',
    id: 'DWORD',
    delta: 'INT',
    at: 'POINTER',
    time: 'INT64',
    end: 'BYTE',
  });

  test('has its fields at multiples of their widths, and is padded to the widest', () => {
    assert.equal(mixed.size, 40);
    const bytes = mixed.encode({
      flags: 1,
      count: 0x0203,
      id: 0x04050607,
      delta: -2,
      at: 0x1122334455667788n,
      time: -1n,
      end: 9,
    });
    const golden = '0100030207060504feffffff000000008877665544332211ffffffffffffffff0900000000000000';
    assert.equal(bytes.toString('hex'), golden);
    assert.deepEqual(mixed.decode(bytes), {
      flags: 1,
      count: 0x0203,
      id: 0x04050607,
      delta: -2,
      at: 0x1122334455667788n,
      time: -1n,
      end: 9,
    });
  });

  test('is zero where no value is given', () => {
    assert.deepEqual(mixed.encode({}), Buffer.alloc(40));
  });

  test('that is cut off is refused, and so is a number that does not fit', () => {
    assert.throws(
      () => mixed.decode(Buffer.alloc(39)),
      /Cannot read a structure of 40 bytes: there are only 39/,
    );
    assert.throws(() => mixed.encode({ count: 0x10000 }), RangeError);
    assert.throws(() => mixed.encode({ at: -1n }), RangeError);
  });
});
