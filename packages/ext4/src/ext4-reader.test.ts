import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, linkSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileInput, MemoryStorage } from './byte-storage.ts';
import { debugfs, hasE2fsck, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { Ext4Writer } from './ext4-writer.ts';

/** Kinds of file systems that mke2fs makes. */
const kinds: Record<string, string[]> = {
  'ext4 as it is by default': ['-t', 'ext4'],
  'ext4 with inline data': ['-t', 'ext4', '-O', 'inline_data'],
  'ext4 with small blocks': ['-t', 'ext4', '-b', '1024'],
  'ext4 with meta_bg': ['-t', 'ext4', '-O', 'meta_bg,^resize_inode', '-b', '1024'],
  'ext2 with 128-byte inodes': ['-t', 'ext2', '-b', '1024', '-I', '128'],
};

for (const [kind, options] of Object.entries(kinds)) {
  test(`reads ${kind}`, { skip: !hasE2fsck }, () => {
    using directory = temporaryDirectory();
    const source = join(directory.path, 'source');
    mkdirSync(join(source, 'many'), { recursive: true });
    const large = Uint8Array.from({ length: 800_000 }, (_, index) => (index * index) >>> 3);
    writeFileSync(join(source, 'large'), large);
    writeFileSync(join(source, 'é'), 'small');
    linkSync(join(source, 'é'), join(source, 'again'));
    symlinkSync('é', join(source, 'short'));
    symlinkSync('x'.repeat(200), join(source, 'long'));
    for (let index = 0; index < 600; index++) {
      writeFileSync(join(source, 'many', `a-name-that-is-somewhat-long-${index}`), String(index));
    }
    const image = join(directory.path, 'image');
    writeFileSync(image, '');
    const { status, stderr } = spawnSync('mke2fs', ['-q', ...options, '-d', source, image, '32M'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const fd = openSync(image, 'r');
    try {
      const reader = new Ext4Reader(new FileInput(fd));
      assert.deepEqual(reader.readFile('large'), large);
      assert.equal(Buffer.from(reader.readFile('again')).toString(), 'small');
      assert.equal(reader.stat('é')?.links, 2);
      assert.equal(reader.stat('short')?.target, 'é');
      assert.equal(reader.stat('long')?.target, 'x'.repeat(200));
      assert.equal(reader.readDirectory('many').length, 600);
      for (const { inode } of reader.readDirectory('many').slice(0, 20))
        assert.ok(reader.readFile(inode).length > 0);
      assert.equal([...reader.walk()].length, 608);
      const { mode, uid, size } = reader.stat('large')!;
      const said = debugfs(image, 'stat /large');
      assert.match(said, new RegExp(`Mode: +0${mode.toString(8)} `));
      assert.match(said, new RegExp(`User: +${uid} .*Size: ${size}\\n`));
    } finally {
      closeSync(fd);
    }
  });
}

test('reads a directory that e2fsck has given an index', { skip: !hasE2fsck }, () => {
  using directory = temporaryDirectory();
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage, { readOnly: false, size: 8 << 20, metadataChecksums: true });
  for (let index = 0; index < 2000; index++) writer.create(`file-${index}`, { type: 'fifo' });
  writer.finish();
  const image = join(directory.path, 'image');
  writeFileSync(image, storage.bytes);
  spawnSync('tune2fs', ['-O', 'dir_index', image]);
  spawnSync('e2fsck', ['-fyD', image]);
  assert.match(debugfs(image, 'htree_dump /'), /Root node dump/);
  const names = new Ext4Reader(new MemoryStorage(readFileSync(image)))
    .readDirectory('')
    .map(({ name }) => name);
  assert.equal(names.length, 2001);
  assert.equal(new Set(names).size, 2001);
});

function sample(metadataChecksums: boolean): Uint8Array {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage, { inlineData: true, metadataChecksums });
  const xattrs = new Map([
    ['user.a', new Uint8Array(20)],
    ['user.b', new Uint8Array(700)],
  ]);
  writer.create('inline', { type: 'file', size: 100 });
  writer.write(new Uint8Array(100).fill(65));
  writer.create('sparse', { type: 'file', size: 4_000_000, xattrs });
  for (let index = 0; index < 400; index++) {
    writer.write(new Uint8Array(10));
    writer.skip(9990);
  }
  writer.create('link', { type: 'symlink', target: 'x'.repeat(100) });
  writer.create('device', { type: 'block', major: 300, minor: 300 });
  for (let index = 0; index < 100; index++) {
    writer.makeParents(`d/${index}/file`);
    writer.create(`d/${index}/file`, { type: 'file', size: 0 });
  }
  writer.finish();
  return storage.bytes;
}

/** Goes through all of an image, with small limits. */
function readAll(image: Uint8Array): void {
  const reader = new Ext4Reader(new MemoryStorage(image), { entries: 10_000 });
  for (const { status } of reader.walk()) {
    if (status.type !== 'file') continue;
    let pieces = 0;
    for (const { bytes } of reader.content(status.inode)) if (bytes.length > 0 && ++pieces > 1000) break;
  }
}

test('an error names the inode or block, and the field', () => {
  const image = Uint8Array.from(sample(true));
  readAll(image);
  const inodeTables = Buffer.from(image).readUInt32LE(4096 + 8);
  const broken = Uint8Array.from(image);
  broken[inodeTables * 4096 + 256 + 4]! ^= 1;
  assert.throws(
    () => readAll(broken),
    /^Ext4Error: Cannot read inode 2: field "i_checksum": it does not fit the content$/,
  );
  const superblock = Uint8Array.from(sample(false));
  superblock[1024 + 24] = 50;
  assert.throws(() => readAll(superblock), /field "log_block_size": 50 is not possible/);
  const plain = Uint8Array.from(sample(false));
  new DataView(plain.buffer).setUint32(inodeTables * 4096 + 256 + 40 + 20, 0x7fffffff, true);
  assert.throws(() => readAll(plain), /block 2147483647 of directory inode 2/);
  assert.throws(() => readAll(image.subarray(0, 2000)), /has only 2000 bytes/);
  assert.throws(() => readAll(image.subarray(0, 8192)), /field "blocks_count"/);
});
