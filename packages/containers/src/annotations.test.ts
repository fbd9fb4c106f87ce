import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/hcs';
import { parseAnnotations } from './annotations.ts';

const memory = 'io.microsoft.virtualmachine.computetopology.memory.sizeinmb';

test('no annotations say nothing', () => {
  assert.deepEqual(parseAnnotations(), {});
});

test('known annotations are read, others are left alone', () => {
  assert.deepEqual(
    parseAnnotations({ [memory]: '512', 'io.hcsshim.engine': 'sandbox', 'org.example.other': 'x' }),
    { memoryMb: 512, engine: 'sandbox' },
  );
});

for (const value of ['', 'lots', '-1', '1.5', '0x200', '127', '99999999999999999999']) {
  test(`the memory size "${value}" is refused, with the allowed range`, () => {
    assert.throws(
      () => parseAnnotations({ [memory]: value }),
      (error) =>
        isHcsError(error, 'E_INVALIDARG') && error.message.includes(memory) && error.message.includes('128'),
    );
  });
}

test('an unknown engine is refused with those that exist', () => {
  assert.throws(() => parseAnnotations({ 'io.hcsshim.engine': 'hyperv' }), /"hyperv".*"qemu" or "sandbox"/);
});
