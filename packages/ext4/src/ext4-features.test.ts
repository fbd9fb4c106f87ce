/** What a file system has on demand: indexed directories, a journal, groups that are initialised later. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileInput, FileOutput } from './byte-storage.ts';
import { assertClean, debugfs, hasE2fsck, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Error } from './ext4-error.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { Ext4Writer, type Ext4WriterOptions } from './ext4-writer.ts';
import { NameHash } from './name-hash.ts';

const needsE2fsprogs = { skip: !hasE2fsck && 'needs e2fsprogs' };

function makeImage(path: string, options: Ext4WriterOptions, fill: (writer: Ext4Writer) => void): void {
  const fd = openSync(path, 'w+');
  try {
    const writer = new Ext4Writer(new FileOutput(fd), options);
    fill(writer);
    writer.finish();
  } finally {
    closeSync(fd);
  }
  assertClean(path);
}

/** Mounts an image by loop while `work` runs. False where that is not possible. */
function whileMounted(directory: string, image: string, work: (mountPoint: string) => void): boolean {
  const mountPoint = join(directory, 'mnt');
  mkdirSync(mountPoint, { recursive: true });
  if (spawnSync('mount', ['-o', 'loop', image, mountPoint]).status !== 0) return false;
  try {
    work(mountPoint);
  } finally {
    assert.equal(spawnSync('umount', [mountPoint]).status, 0);
  }
  return true;
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${'long name '.repeat(index % 8)}${index}`);
}

for (const metadataChecksums of [false, true]) {
  const words = metadataChecksums ? 'with' : 'without';
  test(`large directories are indexed, ${words} checksums, and found by reader and kernel`, (t) => {
    using directory = temporaryDirectory();
    const image = join(directory.path, 'image');
    const uuid = '11223344-5566-7788-99aa-bbccddeeff00';
    // The last has two levels.
    const counts = [0, 10, 400, 60_000];
    makeImage(image, { indexDirectories: true, metadataChecksums, uuid }, (writer) => {
      for (const count of counts) {
        writer.create(`${count}`, { type: 'directory' });
        for (const name of names(count)) writer.create(`${count}/${name}`, { type: 'fifo' });
      }
    });
    const fd = openSync(image, 'r');
    const reader = new Ext4Reader(new FileInput(fd));
    for (const count of counts) {
      const found = reader.readDirectory(`${count}`).map(({ name }) => name);
      assert.deepEqual(found.sort(), names(count).sort());
    }
    closeSync(fd);
    if (hasE2fsck) {
      assert.doesNotMatch(debugfs(image, 'stat /10'), /Flags: 0x81000/);
      assert.match(debugfs(image, 'stat /400'), /Flags: 0x81000/);
      assert.ok(debugfs(image, 'htree_dump /60000').includes('Indirect levels: 1'));
    }
    const mounted = whileMounted(directory.path, image, (mountPoint) => {
      for (const count of counts) {
        const place = join(mountPoint, `${count}`);
        for (const name of names(count)) assert.ok(statSync(join(place, name)).isFIFO());
        assert.throws(() => statSync(join(place, 'no such name')), { code: 'ENOENT' });
        assert.equal(readdirSync(place).length, count);
      }
    });
    if (!mounted) t.diagnostic('not mounted: that needs root and loop devices');
  });
}

test('names with the same hash are found, also when they lie in two blocks', needsE2fsprogs, (t) => {
  using directory = temporaryDirectory();
  const image = join(directory.path, 'image');
  const hash = new NameHash(new Uint8Array(16));
  const nameOf = (index: number): string => index.toString(36).padEnd(200, '-');
  // Found by trying.
  const twins = [27, 57_000].map(nameOf) as [string, string];
  assert.equal(hash.of(twins[0]), hash.of(twins[1]));
  const others = Array.from({ length: 1000 }, (_, index) => nameOf(100 + index));
  // A block has room for 19 such names: the first twin is the last in its block.
  const before = others.filter((name) => hash.of(name) < hash.of(twins[0])).slice(0, 18);
  const after = others.filter((name) => hash.of(name) > hash.of(twins[0])).slice(0, 50);
  const alike = [...before, ...twins, ...after];
  makeImage(image, { indexDirectories: true, lostAndFound: false }, (writer) => {
    for (const name of alike) writer.create(name, { type: 'fifo' });
  });
  const continued = debugfs(image, 'htree_dump /').match(/Hash 0x[0-9a-f]{7}[13579bdf], block/g) ?? [];
  assert.equal(continued.length, 1);
  const mounted = whileMounted(directory.path, image, (mountPoint) => {
    for (const name of alike) assert.ok(statSync(join(mountPoint, name)).isFIFO());
  });
  if (!mounted) t.diagnostic('not mounted: that needs root and loop devices');
});

test('a large file system takes little place when its groups are initialised later', () => {
  using directory = temporaryDirectory();
  const image = join(directory.path, 'image');
  for (const metadataChecksums of [false, true]) {
    const size = 1024 ** 4;
    const options = {
      size,
      inodes: size / 2 ** 20,
      readOnly: false,
      groupChecksums: true,
      indexDirectories: true,
    };
    makeImage(image, { ...options, metadataChecksums }, (writer) =>
      writer.create('a', { type: 'directory' }),
    );
    assert.equal(statSync(image).size, size);
    assert.ok(statSync(image).blocks * 512 < 1024 ** 2);
    whileMounted(directory.path, image, (mountPoint) => {
      for (let index = 0; index < 300; index++) {
        mkdirSync(join(mountPoint, 'a', `${index}`));
        writeFileSync(join(mountPoint, 'a', `${index}`, 'file'), 'x'.repeat(10_000));
      }
    });
    assertClean(image);
  }
});

test('a journal is one that the kernel uses', needsE2fsprogs, (t) => {
  using directory = temporaryDirectory();
  const image = join(directory.path, 'image');
  for (const metadataChecksums of [false, true]) {
    const options = { size: 64 * 2 ** 20, inodes: 1000, readOnly: false, journalSize: 4 * 2 ** 20 };
    makeImage(image, { ...options, metadataChecksums }, (writer) =>
      writer.create('a', { type: 'directory' }),
    );
    assert.match(debugfs(image, 'stats'), /has_journal[\s\S]*Journal inode: +8/);
    const mounted = whileMounted(directory.path, image, (mountPoint) => {
      writeFileSync(join(mountPoint, 'a/file'), 'content');
    });
    if (!mounted) return t.diagnostic('not mounted: that needs root and loop devices');
    assertClean(image);
    assert.doesNotMatch(debugfs(image, 'logdump -S'), /Journal sequence: +0x00000001/);
  }
});

test('a journal of a wrong size, or of a file system that is never written, is refused', () => {
  using directory = temporaryDirectory();
  const image = join(directory.path, 'image');
  const refused: [Ext4WriterOptions, RegExp][] = [
    [{ journalSize: 8 * 2 ** 20 }, /marked as read-only/],
    [{ journalSize: 2 ** 20, readOnly: false }, /from 4194304 to 536870912/],
    [{ journalSize: 8 * 2 ** 20 + 1, readOnly: false }, /multiple of 4096/],
  ];
  for (const [options, words] of refused) {
    assert.throws(
      () => makeImage(image, options, () => {}),
      (error) => error instanceof Ext4Error && error.code === 'INVALID_OPTION' && words.test(error.message),
    );
  }
});
