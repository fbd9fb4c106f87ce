import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { environmentBlock } from './environment-block.ts';

const read = (environment: Record<string, string | undefined>) =>
  environmentBlock(environment).toString('utf16le');

describe('an environment block', () => {
  test('is sorted without regard to case, and ends with two NULs', () => {
    assert.equal(
      read({ b: '2', A: 'é', C: '', SYSTEMROOT: 'C:\\windows', '=C:': 'C:\\x' }),
      '=C:=C:\\x\0A=é\0b=2\0C=\0SYSTEMROOT=C:\\windows\0\0',
    );
  });

  test('has one variable of names that differ in case alone, and none that is undefined', () => {
    assert.equal(
      read({ Path: 'old', PATH: 'new', gone: undefined, SystemRoot: 'r' }),
      'PATH=new\0SystemRoot=r\0\0',
    );
  });

  test('gets SystemRoot from this process, where that has one', () => {
    const kept = process.env.SystemRoot;
    try {
      process.env.SystemRoot = 'C:\\windows';
      assert.equal(read({ a: '1' }), 'a=1\0SystemRoot=C:\\windows\0\0');
      delete process.env.SystemRoot;
      assert.equal(read({}), '\0\0');
    } finally {
      if (kept !== undefined) process.env.SystemRoot = kept;
    }
  });

  test('refuses what would be cut off or read as something else', () => {
    assert.throws(() => read({ 'a=b': '1' }), /Cannot use "a=b" as the name of an environment variable/);
    assert.throws(() => read({ '': '1' }), TypeError);
    assert.throws(() => read({ a: 'x\0y' }), /environment variable "a": its value has a NUL character in it/);
  });
});
