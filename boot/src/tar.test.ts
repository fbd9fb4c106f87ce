import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { FileTree } from './file-tree.ts';
import { readTar } from './tar-reader.ts';
import { writeTar } from './tar-writer.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hcsshim-tar-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const longName = `${'deep/'.repeat(30)}${'n'.repeat(120)}`;

function sample(): FileTree {
  const tree = new FileTree();
  tree.file('bin/tool', 'x'.repeat(1000), 0o755);
  tree.file(longName, 'long');
  tree.symlink('sbin/tool', '../bin/tool');
  tree.symlink('far', longName);
  tree.add('a-link', { type: 'link', target: 'bin/tool', mode: 0o755, uid: 0, gid: 0 });
  tree.add('dev/null', { type: 'character', major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0 });
  tree.add('tmp', { type: 'directory', mode: 0o1777, uid: 12, gid: 34 });
  tree.file('empty', '');
  return tree;
}

test('what is written is read back the same', async () => {
  const bytes = Buffer.concat([...writeTar(sample())]);
  const read = await readTar(Readable.from([bytes.subarray(0, 700), bytes.subarray(700)]), {
    name: 'sample',
  });
  const plain = (tree: FileTree): unknown =>
    tree
      .sorted()
      .map(([path, entry]) => [
        path,
        entry.type === 'file' ? { ...entry, content: Buffer.from(entry.content).toString() } : entry,
      ]);
  assert.deepEqual(plain(read), plain(sample()));
});

test('GNU tar unpacks what is written', () => {
  writeFileSync(join(directory, 't.tar'), Buffer.concat([...writeTar(sample())]));
  execFileSync('tar', ['-xf', 't.tar', '--exclude=dev/null', '--no-same-owner'], { cwd: directory });
  assert.equal(readFileSync(join(directory, longName), 'utf8'), 'long');
  assert.equal(readFileSync(join(directory, 'sbin/tool')).length, 1000);
  assert.equal(statSync(join(directory, 'a-link')).nlink, 2);
  assert.equal(statSync(join(directory, 'tmp')).mode & 0o7777, 0o1777);
});

for (const format of ['v7', 'ustar', 'gnu', 'pax']) {
  test(`a ${format} tar of GNU tar is read`, async () => {
    const name = format === 'gnu' || format === 'pax' ? 'n'.repeat(150) : 'name';
    writeFileSync(join(directory, name), 'content');
    execFileSync('tar', ['-cf', 't.tar', `--format=${format}`, `./${name}`], { cwd: directory });
    const tree = await readTar(createReadStream(join(directory, 't.tar')), { name: 't.tar' });
    const entry = tree.get(name);
    assert.equal(entry?.type === 'file' && Buffer.from(entry.content).toString(), 'content');
  });
}

test('a path never leads out of the tree', async () => {
  const tree = new FileTree();
  tree.file('XX/XX/evil', 'x');
  const bytes = Buffer.concat([...writeTar(tree)]);
  for (let at = bytes.indexOf('XX/XX/evil'); at >= 0; at = -1) {
    bytes.write('../../evil', at);
    const header = bytes.subarray(at, at + 512);
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  }
  const read = await readTar(Readable.from([bytes]), { name: 'evil' });
  assert.equal(read.get('evil')?.type, 'file');
  assert.ok(read.sorted().every(([path]) => !path.includes('..')));
});

test('a damaged, a cut and a too large tar are errors that name the file', async () => {
  const bytes = Buffer.concat([...writeTar(sample())]);
  const read = (input: Buffer, limit?: number): Promise<FileTree> =>
    readTar(Readable.from([input]), { name: 'x.tar', ...(limit === undefined ? {} : { limit }) });
  const damaged = Buffer.from(bytes);
  damaged[0] = 0x7a;
  await assert.rejects(read(damaged), /Cannot read tar "x\.tar", .*wrong checksum/);
  await assert.rejects(
    read(bytes.subarray(0, 1600)),
    /Cannot read tar "x\.tar", .*in the middle of an entry/,
  );
  await assert.rejects(read(bytes, 500), /Cannot read tar "x\.tar", .*more data than is allowed for/);
});
