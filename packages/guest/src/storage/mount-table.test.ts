import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountPoints } from './mount-table.ts';

test('mount points are read in order, with their escapes undone', () => {
  const mountInfo = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '30 22 0:25 / /run/a\\040b\\134c rw - tmpfs tmpfs rw',
    '',
  ].join('\n');
  assert.deepEqual(mountPoints(mountInfo), ['/', '/run/a b\\c']);
});
