import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { makeExt4 } from './ext4.ts';
import { FileTree } from './file-tree.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hcsshim-ext4-test-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const identity = {
  uuid: '11111111-2222-3333-4444-555555555555',
  label: 'test',
};

function debugfs(image: string, request: string): string {
  return execFileSync('/sbin/debugfs', ['-R', request, image], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

function sample(): FileTree {
  const tree = new FileTree();
  tree.file('bin/tool', 'content', 0o4755);
  tree.add('bin/other', { type: 'link', target: 'bin/tool', mode: 0o755, uid: 0, gid: 0 });
  tree.symlink('sbin', 'bin');
  tree.symlink('long', `/${'x'.repeat(200)}`);
  tree.file('a name with "quotes"', 'q');
  tree.add('home/user', { type: 'directory', mode: 0o700, uid: 1000, gid: 100_000 });
  tree.add('null', { type: 'character', major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 });
  for (let index = 0; index < 300; index++) tree.file(`many/${index}`, `${index}`);
  return tree;
}

test('the image is sound and has the files, modes and owners of the tree', async () => {
  const output = join(directory, 'a.img');
  makeExt4({ tree: sample(), output, ...identity });
  execFileSync('/sbin/e2fsck', ['-fn', output], { stdio: 'ignore' });
  assert.equal(debugfs(output, 'cat /bin/other'), 'content');
  assert.equal(debugfs(output, 'cat "/a name with ""quotes"""'), 'q');
  assert.equal(debugfs(output, 'cat /many/299'), '299');
  assert.match(debugfs(output, 'stat /bin/tool'), /Type: regular\s+Mode:\s+04755[\s\S]*Links: 2/);
  assert.match(debugfs(output, 'stat /home/user'), /Mode:\s+0700[\s\S]*User:\s+1000\s+Group: 100000/);
  assert.match(
    debugfs(output, 'stat /null'),
    /character special[\s\S]*0666|Device major\/minor number: 01:03/,
  );
  assert.match(debugfs(output, 'stat /long'), /Type: symlink[\s\S]*Size: 201/);
});

test('the same tree makes the same bytes', async () => {
  const images = [];
  for (const name of ['a.img', 'b.img']) {
    makeExt4({ tree: sample(), output: join(directory, name), ...identity });
    images.push(readFileSync(join(directory, name)));
  }
  assert.ok(images[0]?.equals(images[1] as Buffer));
});

test('a tree that does not fit is an error, not a disk with less in it', () => {
  const tree = new FileTree();
  tree.file('big', Buffer.alloc(8 * 2 ** 20, 1));
  const output = join(directory, 'small.img');
  assert.throws(
    () => makeExt4({ tree, output, sizeBytes: 4 * 2 ** 20, ...identity }),
    /Cannot make the root disk ".*small\.img": .*larger than 4194304 bytes/,
  );
});
