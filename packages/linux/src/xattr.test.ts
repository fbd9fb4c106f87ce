import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readXattrs } from './xattr.ts';

const setter = spawnSync('setfattr', ['--version']).status === 0 ? 'setfattr' : undefined;

test('a file without attributes has none, and one that is not there is named', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'xattr-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'plain');
  writeFileSync(path, '');
  assert.deepEqual(readXattrs(Buffer.from(path)), new Map());
  assert.deepEqual(readXattrs(Buffer.from('/proc/self/stat')), new Map());
  assert.throws(() => readXattrs(Buffer.from(join(directory, 'absent'))), {
    code: 'ENOENT',
    message: /extended attributes of ".*absent"/,
  });
});

test('attributes are read with their bytes, of a link its own', {
  skip: !setter && 'needs setfattr',
}, (t) => {
  // Not every tmpfs has user.* attributes.
  const directory = mkdtempSync(join('/var/tmp', 'xattr-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  writeFileSync(path, '');
  symlinkSync(path, join(directory, 'link'));
  const set = (name: string, value: string): boolean =>
    spawnSync('setfattr', ['-n', name, '-v', value, path]).status === 0;
  if (!set('user.note', '0x00ff10')) return t.skip('the file system has no attributes');
  set('user.empty', '');
  const xattrs = readXattrs(Buffer.from(path));
  assert.deepEqual(
    [...xattrs].sort(([a], [b]) => a.localeCompare(b)).map(([name, value]) => [name, [...value]]),
    [
      ['user.empty', []],
      ['user.note', [0, 255, 16]],
    ],
  );
  assert.deepEqual(readXattrs(Buffer.from(join(directory, 'link'))), new Map());
});
