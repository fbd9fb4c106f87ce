import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeCpio } from './cpio.ts';
import { FileTree } from './file-tree.ts';

test('an archive has the bytes that the newc format asks for', () => {
  const tree = new FileTree();
  tree.add('dev/c', { type: 'character', major: 5, minor: 1, mode: 0o600, uid: 7, gid: 8 });
  tree.file('init', '#!sh\n', 0o755);
  const zero = '0'.repeat(8);
  const header = (...fields: string[]): string => `070701${fields.join('')}`;
  assert.equal(
    Buffer.from(writeCpio(tree)).toString('latin1'),
    [
      header(
        '00000001',
        '000041ed',
        zero,
        zero,
        '00000001',
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        '00000004',
        zero,
      ),
      'dev\0\0\0',
      header(
        '00000002',
        '00002180',
        '00000007',
        '00000008',
        '00000001',
        zero,
        zero,
        zero,
        zero,
        '00000005',
        '00000001',
        '00000006',
        zero,
      ),
      'dev/c\0',
      header(
        '00000003',
        '000081ed',
        zero,
        zero,
        '00000001',
        zero,
        '00000005',
        zero,
        zero,
        zero,
        zero,
        '00000005',
        zero,
      ),
      'init\0\0#!sh\n\0\0\0',
      header(zero, zero, zero, zero, '00000001', zero, zero, zero, zero, zero, zero, '0000000b', zero),
      'TRAILER!!!\0\0\0\0',
    ].join(''),
  );
});

test('a hard link is refused with its name', () => {
  const tree = new FileTree();
  tree.add('x', { type: 'link', target: 'y', mode: 0o644, uid: 0, gid: 0 });
  assert.throws(() => writeCpio(tree), /Cannot write "x" to a cpio archive: it is a hard link/);
});
