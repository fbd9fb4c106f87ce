import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readMemory, setPointer, wideString } from './pointers.ts';

describe('pointers in structures', () => {
  test('lead to the memory that they were set to', () => {
    const structure = Buffer.alloc(24);
    setPointer(structure, 8, wideString('Ü\u{1f433}'));
    assert.equal(structure.readBigUInt64LE(0), 0n);
    assert.equal(readMemory(structure.readBigUInt64LE(8), 8).toString('utf16le'), 'Ü\u{1f433}\0');
  });

  test('keep that memory, when nobody else does, for as long as the structure lives', () => {
    const structures = Array.from({ length: 2_000 }, (_, number) => {
      const structure = Buffer.alloc(16);
      setPointer(structure, 0, Buffer.alloc(4096, number & 0xff));
      setPointer(structure, 8, Buffer.alloc(4096, ~number & 0xff));
      return structure;
    });
    globalThis.gc?.();
    for (let i = 0; i < 2_000; i++) Buffer.alloc(4096, 0xee);
    for (const [number, structure] of structures.entries()) {
      assert.equal(readMemory(structure.readBigUInt64LE(0), 4096)[4095], number & 0xff);
      assert.equal(readMemory(structure.readBigUInt64LE(8), 4096)[4095], ~number & 0xff);
    }
  });

  test('take no string that a NUL would cut short', () => {
    assert.throws(() => wideString('a\0b'), /NUL/);
  });

  test('are read as a copy, which stays as it was', () => {
    const structure = Buffer.alloc(8);
    const target = Buffer.from([1, 2, 3]);
    setPointer(structure, 0, target);
    const copy = readMemory(structure.readBigUInt64LE(0), 3);
    target.fill(0);
    assert.deepEqual([...copy], [1, 2, 3]);
  });
});
