import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileTree } from './file-tree.ts';

const paths = (tree: FileTree): string[] => tree.sorted().map(([path]) => path);

test('a file lands where the symlinks of its folders lead, above the root is the root', () => {
  const tree = new FileTree();
  tree.directory('usr/lib');
  tree.symlink('lib', 'usr/lib');
  tree.symlink('usr/lib64', '/lib');
  tree.symlink('up', '../../usr');
  tree.file('lib/a', '');
  tree.file('usr/lib64/b', '');
  tree.file('up/c', '');
  assert.deepEqual(paths(tree), [
    'lib',
    'up',
    'usr',
    'usr/c',
    'usr/lib',
    'usr/lib/a',
    'usr/lib/b',
    'usr/lib64',
  ]);
});

test('a folder laid over a symlink to a folder leaves the symlink', () => {
  const tree = new FileTree();
  tree.directory('usr/bin');
  tree.symlink('bin', 'usr/bin');
  tree.directory('bin');
  tree.symlink('dangling', 'nowhere');
  tree.directory('dangling');
  assert.equal(tree.get('bin')?.type, 'symlink');
  assert.equal(tree.get('dangling')?.type, 'directory');
});

test('replacing a file keeps the content under its other names', () => {
  const tree = new FileTree();
  tree.file('a', 'old');
  for (const path of ['b', 'c']) tree.add(path, { type: 'link', target: 'a', mode: 0o644, uid: 0, gid: 0 });
  tree.file('a', 'new');
  const [a, b, c] = [tree.get('a'), tree.get('b'), tree.get('c')];
  assert.equal(a?.type === 'file' && Buffer.from(a.content).toString(), 'new');
  assert.equal(b?.type === 'file' && Buffer.from(b.content).toString(), 'old');
  assert.equal(c?.type === 'link' && c.target, 'b');
});

test('a loop of symlinks is an error that names the path', () => {
  const tree = new FileTree();
  tree.symlink('a', 'b');
  tree.symlink('b', 'a');
  assert.throws(() => tree.file('a/x', ''), /Cannot place "a\/x": more than 40 symbolic links/);
});
