import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryStorage } from './byte-storage.ts';
import { assertClean, debugfs, hasE2fsck, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Error, type Ext4ErrorCode } from './ext4-error.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { Ext4Writer, type Ext4WriterOptions, type NewFile } from './ext4-writer.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function makeImage(fill: (writer: Ext4Writer) => void, options: Ext4WriterOptions = {}): MemoryStorage {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage, options);
  fill(writer);
  const image = writer.finish();
  assert.equal(image.size, storage.size);
  assertClean(storage.bytes);
  return storage;
}

function code(expected: Ext4ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof Ext4Error && error.code === expected;
}

function writeFile(writer: Ext4Writer, path: string, content: Uint8Array, more: Partial<NewFile> = {}): void {
  writer.create(path, { ...more, type: 'file', size: content.length } as NewFile);
  writer.write(content);
}

test('an empty file system is clean', () => {
  const { size } = makeImage(() => {});
  assert.equal(size, 7 * 4096);
});

test('all types and attributes are read back as they were given', () => {
  const time = { seconds: 10_000_000_000, nanoseconds: 999_999_999 };
  const xattrs = new Map([
    ['security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex')],
    ['trusted.overlay.opaque', bytes('y')],
    ['user.big', bytes('b'.repeat(2000))],
    ['user.é', bytes('')],
  ]);
  const files: Record<string, NewFile> = {
    'dir/é': { type: 'directory', mode: 0o1777, uid: 70_000, gid: 4_000_000_000, modified: time },
    'dir/device': { type: 'block', major: 4095, minor: 1_048_575, created: { seconds: -5, nanoseconds: 1 } },
    'dir/null': { type: 'character', major: 1, minor: 3, mode: 0o666 },
    'dir/whiteout': { type: 'character', major: 0, minor: 0, mode: 0 },
    'dir/short': { type: 'symlink', target: 'a'.repeat(59) },
    'dir/long': { type: 'symlink', target: 'é'.repeat(300), xattrs },
    'dir/longest': { type: 'symlink', target: 'x'.repeat(4095) },
    'dir/fifo': { type: 'fifo', accessed: { seconds: -(2 ** 31), nanoseconds: 0 } },
    'dir/socket': { type: 'socket', changed: { seconds: 2 ** 34 - 2 ** 31 - 1, nanoseconds: 5 } },
    [`dir/${'n'.repeat(255)}`]: { type: 'file', xattrs },
  };
  for (const options of [{}, { inlineData: true, metadataChecksums: true }]) {
    const stats = new Map<string, unknown>();
    const storage = makeImage((writer) => {
      writer.makeParents('dir/x');
      for (const [path, file] of Object.entries(files)) writer.create(path, file);
      for (const path of Object.keys(files)) stats.set(path, writer.stat(path));
    }, options);
    const reader = new Ext4Reader(storage);
    for (const [path, file] of Object.entries(files)) {
      const status = reader.stat(path);
      assert.ok(status);
      for (const [key, value] of Object.entries(file)) {
        const plain = (item: unknown): unknown =>
          item instanceof Map
            ? [...item].map(([name, data]) => [name, Buffer.from(data).toString('hex')]).sort()
            : item;
        assert.deepEqual(plain(status[key as keyof typeof status]), plain(value), `${path} ${key}`);
      }
      if (file.type !== 'directory') assert.deepEqual(status, stats.get(path));
    }
  }
});

test('content is the same at every size around the limits of a block and of inline data', () => {
  const sizes = [0, 1, 59, 60, 61, 120, 135, 136, 137, 4095, 4096, 4097, 3_000_000];
  const content = (size: number): Uint8Array =>
    Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) & 0xff);
  for (const inlineData of [false, true]) {
    const storage = makeImage(
      (writer) => {
        for (const size of sizes) writeFile(writer, `f${size}`, content(size));
      },
      { inlineData },
    );
    const reader = new Ext4Reader(storage);
    for (const size of sizes) assert.deepEqual(reader.readFile(`f${size}`), content(size));
  }
});

test('inline data saves the blocks of small files', () => {
  const fill = (writer: Ext4Writer): void => {
    for (let index = 0; index < 100; index++) writeFile(writer, `f${index}`, bytes('small'));
  };
  assert.equal(makeImage(fill).size - makeImage(fill, { inlineData: true }).size, 100 * 4096);
});

test('holes take no place and read as zeros, in a file of 16 TiB too', () => {
  const size = 2 ** 44 - 4096;
  const storage = makeImage((writer) => {
    writer.create('sparse', { type: 'file', size });
    for (let index = 0; index < 2000; index++) {
      writer.write(bytes('begin'));
      writer.skip(4_000_000_000);
    }
    writer.skip(size - 2000 * 4_000_000_005);
  });
  assert.ok(storage.size < 20_000_000);
  let pieces = 0;
  for (const { bytes: piece } of new Ext4Reader(storage).content('sparse')) {
    if (Buffer.from(piece).includes('begin')) pieces++;
  }
  assert.equal(pieces, 2000);
});

test('a directory with 5000 files and one with 300 levels', () => {
  const deep = Array.from({ length: 300 }, (_, index) => `l${index}`).join('/');
  const storage = makeImage((writer) => {
    for (let index = 0; index < 5000; index++) writer.create(`flat-${index}`, { type: 'fifo' });
    writer.makeParents(`${deep}/leaf`);
    writeFile(writer, `${deep}/leaf`, bytes('x'));
  });
  const reader = new Ext4Reader(storage);
  assert.equal(reader.readDirectory('').length, 5002);
  assert.deepEqual(reader.readFile(`${deep}/leaf`), bytes('x'));
});

test('replaced files leave neither blocks nor inodes behind', () => {
  const storage = makeImage((writer) => {
    writeFile(writer, 'a', new Uint8Array(50_000), { xattrs: new Map([['user.x', new Uint8Array(900)]]) });
    writeFile(writer, 'b', bytes('b'));
    writer.link('a', 'c');
    writer.create('a', { type: 'symlink', target: 'b' });
    writer.link('b', 'c');
    for (let round = 0; round < 3; round++) {
      writer.create('d', {
        type: 'directory',
        xattrs: new Map([['user.x', new Uint8Array(900).fill(round)]]),
      });
    }
    writer.create('d/in', { type: 'fifo' });
    writer.create('d', { type: 'directory', mode: 0o700 });
  });
  const reader = new Ext4Reader(storage);
  assert.equal(reader.stat('b')?.links, 2);
  assert.equal(reader.stat('c')?.inode, reader.stat('b')?.inode);
  assert.equal(reader.stat('d')?.xattrs.size, 0);
  assert.equal(reader.stat('d')?.mode, 0o700);
  assert.ok(reader.stat('d/in'));
});

test('each rule has its error, and what was refused leaves no trace', () => {
  makeImage((writer) => {
    writer.create('dir', { type: 'directory' });
    writer.create('file', { type: 'file' });
    const fails = (expected: Ext4ErrorCode, call: () => void): void =>
      assert.throws(call, code(expected), expected);
    fails('CANNOT_REPLACE_DIRECTORY', () => writer.create('dir', { type: 'file' }));
    fails('CANNOT_REPLACE_FILE', () => writer.create('file', { type: 'directory' }));
    fails('CANNOT_ORPHAN', () => writer.link('file', 'dir'));
    fails('LINK_TARGET_IS_DIRECTORY', () => writer.link('dir', 'other'));
    fails('FILE_NOT_FOUND', () => writer.link('nothing', 'other'));
    fails('PATH_NOT_FOUND', () => writer.create('nothing/file', { type: 'file' }));
    fails('PATH_NOT_FOUND', () => writer.create('file/file', { type: 'file' }));
    fails('INVALID_NAME', () => writer.create('dir/../file', { type: 'file' }));
    fails('INVALID_NAME', () => writer.create('a\0b', { type: 'file' }));
    fails('INVALID_NAME', () => writer.create('é'.repeat(128), { type: 'file' }));
    fails('INVALID_NAME', () => writer.create('s', { type: 'symlink', target: 'x'.repeat(4096) }));
    fails('INVALID_MODE', () => writer.create('m', { type: 'file', mode: 0o100644 }));
    fails('FILE_TOO_BIG', () => writer.create('m', { type: 'file', size: 2 ** 45 }));
    fails('INVALID_STATE', () => writer.write(bytes('x')));
    const xattrs = new Map([['user.x', new Uint8Array(4100)]]);
    fails('XATTR_TOO_LARGE', () => writer.create('m', { type: 'directory', xattrs }));
    fails('XATTR_TOO_LARGE', () =>
      writer.create('m', { type: 'file', xattrs: new Map([['other.x', bytes('')]]) }),
    );
    writer.create('short', { type: 'file', size: 3 });
    fails('WROTE_TOO_MUCH', () => writer.write(bytes('four')));
    fails('WROTE_TOO_LITTLE', () => writer.stat('short'));
    writer.write(bytes('now'));
  });
  const small = new Ext4Writer(new MemoryStorage(), { maximumDiskSize: 1 << 20 });
  small.create('big', { type: 'file', size: 2 << 20 });
  assert.throws(() => small.write(new Uint8Array(2 << 20)), code('DISK_SIZE_EXCEEDED'));
});

test('a file has 65000 names and a directory 64998 subdirectories, and no more', () => {
  makeImage((writer) => {
    writer.create('f', { type: 'fifo' });
    for (let index = 1; index < 65_000; index++) writer.link('f', `l${index}`);
    assert.throws(() => writer.link('f', 'one-more'), code('LINK_LIMIT'));
    writer.create('d', { type: 'directory' });
    for (let index = 0; index < 64_998; index++) writer.create(`d/${index}`, { type: 'directory' });
    assert.throws(() => writer.create('d/one-more', { type: 'directory' }), code('PARENT_LINK_LIMIT'));
  });
});

test('a symlink as a parent is followed only when asked, and never out of the image', () => {
  const fill = (writer: Ext4Writer): void => {
    writer.create('usr', { type: 'directory' });
    writer.create('lib', { type: 'symlink', target: '/../../usr/./' });
    writer.create('loop', { type: 'symlink', target: 'loop' });
    writeFile(writer, 'lib/file', bytes('x'));
  };
  assert.throws(() => fill(new Ext4Writer(new MemoryStorage())), code('PATH_NOT_FOUND'));
  const storage = makeImage(
    (writer) => {
      fill(writer);
      assert.throws(() => writer.create('loop/x', { type: 'fifo' }), code('PATH_NOT_FOUND'));
    },
    { followSymlinks: true },
  );
  assert.deepEqual(new Ext4Reader(storage).readFile('usr/file'), bytes('x'));
});

test('the same calls make the same bytes, and a size, a label and a UUID are as asked', {
  skip: !hasE2fsck,
}, () => {
  const make = (): MemoryStorage =>
    makeImage((writer) => writeFile(writer, 'f', bytes('x')), {
      size: 256 << 20,
      inodes: 1000,
      readOnly: false,
      lostAndFound: false,
      label: 'scratch',
      uuid: '01234567-89ab-cdef-0123-456789abcdef',
      time: 1_700_000_000,
      metadataChecksums: true,
    });
  const storage = make();
  assert.ok(Buffer.from(storage.bytes).equals(make().bytes));
  using directory = temporaryDirectory();
  const path = join(directory.path, 'image');
  writeFileSync(path, storage.bytes);
  const { stdout } = spawnSync('dumpe2fs', ['-h', path], { encoding: 'utf8' });
  assert.match(stdout, /volume name: +scratch\n/);
  assert.match(stdout, /UUID: +01234567-89ab-cdef-0123-456789abcdef\n/);
  assert.match(stdout, /Block count: +65536\n/);
  const { inodes, freeBlocks, freeInodes } = new Ext4Reader(storage).superblock;
  assert.match(stdout, new RegExp(`Inode count: +${inodes}\n`));
  assert.match(stdout, new RegExp(`Free blocks: +${freeBlocks}\n`));
  assert.match(stdout, new RegExp(`Free inodes: +${freeInodes}\n`));
});

test('an access control list is stored in the form of the disk', { skip: !hasE2fsck }, () => {
  // Owner rw-, user 7 r--, group r--, mask r--, others ---.
  const acl = Buffer.from(
    '0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff',
    'hex',
  );
  const storage = makeImage((writer) => {
    writer.create('f', { type: 'file', xattrs: new Map([['system.posix_acl_access', acl]]) });
  });
  assert.deepEqual(
    Buffer.from(new Ext4Reader(storage).stat('f')?.xattrs.get('system.posix_acl_access') ?? []),
    acl,
  );
  using directory = temporaryDirectory();
  const path = join(directory.path, 'image');
  writeFileSync(path, storage.bytes);
  assert.match(debugfs(path, 'ea_list /f'), /system\.posix_acl_access \(28\)/);
});

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'd'),
  fc.string({ minLength: 1, maxLength: 20, unit: 'binary' }),
);
const attributes = {
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.nat(2 ** 31),
  gid: fc.nat(70_000),
  modified: fc.record({
    seconds: fc.integer({ min: -(2 ** 31), max: 2 ** 33 }),
    nanoseconds: fc.nat(999_999_999),
  }),
  xattrs: fc
    .dictionary(
      fc.constantFrom('user.a', 'user.bb', 'trusted.c', 'security.d'),
      fc.uint8Array({ maxLength: 300 }),
    )
    .map((record) => new Map(Object.entries(record))),
};
const step = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 4 }),
  other: fc.array(name, { minLength: 1, maxLength: 3 }),
  kind: fc.constantFrom('file', 'file', 'directory', 'symlink', 'character', 'fifo', 'link' as const),
  content: fc.uint8Array({ maxLength: 9000 }),
  hole: fc.nat(20_000),
  number: fc.nat(70_000),
  ...attributes,
});

test('a random tree is clean and reads back equal', () => {
  const options = fc.record({
    inlineData: fc.boolean(),
    metadataChecksums: fc.boolean(),
    lostAndFound: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), options, (steps, chosen) => {
      const contents = new Map<number, Uint8Array>();
      const expected = new Map<string, unknown>();
      const storage = makeImage((writer) => {
        const paths = new Set<string>();
        for (const { path: names, other, kind, content, hole, number, ...given } of steps) {
          const path = names.join('/');
          try {
            writer.makeParents(path);
            if (kind === 'link') writer.link(other.join('/'), path);
            else if (kind === 'file') {
              writer.create(path, { ...given, type: kind, size: content.length * 2 + hole });
              writer.write(content);
              writer.skip(hole);
              writer.write(content);
              const all = new Uint8Array(content.length * 2 + hole);
              all.set(content);
              all.set(content, content.length + hole);
              contents.set(writer.stat(path)?.inode ?? 0, all);
            } else if (kind === 'symlink')
              writer.create(path, { ...given, type: kind, target: `t${'/é'.repeat(number % 100)}` });
            else if (kind === 'character')
              writer.create(path, { ...given, type: kind, major: number % 4096, minor: number });
            else writer.create(path, { ...given, type: kind });
            paths.add(path);
          } catch (error) {
            if (!(error instanceof Ext4Error)) throw error;
          }
        }
        for (const path of paths) expected.set(path, writer.stat(path));
      }, chosen);
      const reader = new Ext4Reader(storage);
      const found = new Map([...reader.walk()].map(({ path, status }) => [path, status]));
      for (const [path, status] of expected) {
        const { size, ...rest } = found.get(path.replace(/^\/+/, '')) ?? reader.stat(path)!;
        const { size: written, ...other } = status as typeof rest & { size: number };
        assert.deepEqual(rest, other);
        if (rest.type !== 'file') continue;
        assert.equal(size, written);
        assert.deepEqual(reader.readFile(rest.inode), contents.get(rest.inode));
      }
    }),
    { numRuns: Number(process.env.EXT4_RUNS ?? 25) },
  );
});
