import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MountFlag } from '@hcsshim/linux';
import { parseMountOptions } from './mount-options.ts';

test('flags, their inverses, propagation, and what is the file system’s', () => {
  assert.deepEqual(parseMountOptions(['ro', 'nosuid', 'rshared', 'size=64k', 'rbind', 'noload']), {
    flags: MountFlag.readOnly | MountFlag.noSuid | MountFlag.bind | MountFlag.recursive,
    propagation: [MountFlag.shared | MountFlag.recursive],
    data: ['size=64k', 'noload'],
  });
});

test('later options win', () => {
  assert.equal(parseMountOptions(['ro', 'noexec', 'rw', 'defaults']).flags, MountFlag.noExec);
  assert.equal(parseMountOptions(['rw', 'ro']).flags, MountFlag.readOnly);
});

test('names of built-in properties are no options', () => {
  assert.deepEqual(parseMountOptions(['constructor']).data, ['constructor']);
});
