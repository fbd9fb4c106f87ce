import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { koffi } from './koffi.ts';
import { objectAttributes } from './object-attributes.ts';

describe('OBJECT_ATTRIBUTES', () => {
  test('point at the name, which is behind them', () => {
    const bytes = objectAttributes('\\Job é');
    const address = koffi().address(bytes);
    assert.equal(bytes.length, 48 + 16 + 12);
    assert.equal(bytes.readUInt32LE(0), 48);
    assert.equal(bytes.readBigUInt64LE(16), address + 48n);
    assert.equal(bytes.readUInt32LE(24), 0x40, 'without regard to case');
    assert.equal(bytes.readUInt16LE(48), 12);
    assert.equal(bytes.readUInt16LE(50), 12);
    assert.equal(bytes.readBigUInt64LE(56), address + 64n);
    assert.equal(koffi().decode.string16(bytes.readBigUInt64LE(56), 6), '\\Job é');
  });

  test('of an object without a name point at nothing', () => {
    assert.equal(objectAttributes().readBigUInt64LE(16), 0n);
  });

  test('refuse a name whose length does not fit', () => {
    assert.throws(
      () => objectAttributes('x'.repeat(32_768)),
      /its name has 32768 characters, more than 32767/,
    );
  });
});
