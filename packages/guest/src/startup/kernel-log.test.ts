import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKernelRecord } from './kernel-log.ts';

test('a record of /dev/kmsg', () => {
  const record = '28,1024,5140900,-;EXT4-fs (sdb): mounted; fine\n SUBSYSTEM=block\n';
  assert.deepEqual(parseKernelRecord(record), {
    level: 4,
    sequence: 1024,
    timestamp: 5140900,
    message: 'EXT4-fs (sdb): mounted; fine',
  });
  assert.equal(parseKernelRecord('nonsense'), undefined);
});
