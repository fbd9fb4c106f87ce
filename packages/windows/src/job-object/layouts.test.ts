import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fields, Struct } from '../struct.ts';
import {
  associateCompletionPort,
  basicAccounting,
  completionEntry,
  cpuRateControlInformation,
  extendedLimit,
  groupAffinity,
  ioAttribution,
  ioRateControlInformation,
  memoryUsage,
  processIdListHead,
  siloBasicInformation,
  vmCounters,
} from './layouts.ts';

/** Where each byte that is not 0 is, when one field has 0x77 in its lowest byte. */
function offsetOf<F extends Fields>(layout: Struct<F>, field: keyof F & string): number {
  const zero = layout.decode(Buffer.alloc(layout.size))[field];
  const value = typeof zero === 'bigint' ? 0x77n : 0x77;
  return layout.encode({ [field]: value } as never).indexOf(0x77);
}

describe('the structures of job objects', () => {
  test('are as large as mingw-w64 compiles them for x64', () => {
    assert.equal(extendedLimit.size, 144);
    assert.equal(basicAccounting.size, 48);
    assert.equal(cpuRateControlInformation.size, 8);
    assert.equal(associateCompletionPort.size, 16);
    assert.equal(processIdListHead.size, 8);
    assert.equal(groupAffinity.size, 16);
    assert.equal(completionEntry.size, 32);
  });

  test('have their fields where mingw-w64 has them', () => {
    assert.equal(offsetOf(extendedLimit, 'limitFlags'), 16);
    assert.equal(offsetOf(extendedLimit, 'affinity'), 48);
    assert.equal(offsetOf(extendedLimit, 'readOperationCount'), 64);
    assert.equal(offsetOf(extendedLimit, 'jobMemoryLimit'), 120);
    assert.equal(offsetOf(extendedLimit, 'peakJobMemoryUsed'), 136);
    assert.equal(offsetOf(basicAccounting, 'activeProcesses'), 40);
    assert.equal(offsetOf(groupAffinity, 'group'), 8);
    assert.equal(offsetOf(completionEntry, 'bytesTransferred'), 24);
  });

  test('that mingw-w64 lacks are as Microsoft documents them', () => {
    assert.equal(ioRateControlInformation.size, 40);
    assert.equal(offsetOf(ioRateControlInformation, 'volumeName'), 24);
    assert.equal(offsetOf(ioRateControlInformation, 'controlFlags'), 36);
    assert.equal(ioAttribution.size, 72);
    assert.equal(offsetOf(ioAttribution, 'readCount'), 8);
    assert.equal(offsetOf(ioAttribution, 'writeSize'), 64);
    assert.equal(memoryUsage.size, 16);
    assert.equal(siloBasicInformation.size, 16);
    assert.equal(vmCounters.size, 112);
    assert.equal(offsetOf(vmCounters, 'privateWorkingSetSize'), 96);
  });

  test('golden bytes: limits of memory and processors, and the end with the last handle', () => {
    const bytes = extendedLimit.encode({
      limitFlags: 0x2210,
      affinity: 3n,
      jobMemoryLimit: 0x1234_5678_9abcn,
    });
    const words = Array.from({ length: 18 }, (_, index) => bytes.readBigUInt64LE(8 * index).toString(16));
    assert.equal(words.join(' '), '0 0 2210 0 0 0 3 0 0 0 0 0 0 0 0 123456789abc 0 0');
    assert.equal(
      cpuRateControlInformation.encode({ controlFlags: 5, value: 5000 }).toString('hex'),
      '0500000088130000',
    );
  });
});
