import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryStorage } from './byte-storage.ts';
import { hasE2fsck, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { ext4ToTar } from './ext4-to-tar.ts';
import { Ext4Writer, type Ext4WriterOptions, type NewFile } from './ext4-writer.ts';
import { TarDecoder, type TarEntry } from './tar-decoder.ts';
import { TarEncoder } from './tar-encoder.ts';
import { tarToExt4 } from './tar-to-ext4.ts';

const isRoot = process.getuid?.() === 0;

function makeImage(fill: (writer: Ext4Writer) => void, options: Ext4WriterOptions = {}): MemoryStorage {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage, { pathEncoding: 'latin1', ...options });
  fill(writer);
  writer.finish();
  return storage;
}

function exported(image: MemoryStorage, options: Parameters<typeof ext4ToTar>[1] = {}): Buffer {
  const reader = new Ext4Reader(image, { pathEncoding: 'latin1' });
  return Buffer.concat(Array.from(ext4ToTar(reader, options), (piece) => Buffer.from(piece)));
}

function entriesOf(archive: Uint8Array): TarEntry[] {
  const entries: TarEntry[] = [];
  const decoder = new TarDecoder({ entry: (entry) => entries.push(entry), data: () => {}, hole: () => {} });
  decoder.push(archive);
  decoder.end();
  return entries;
}

const file = (writer: Ext4Writer, path: string, content: string, more: Partial<NewFile> = {}): void => {
  writer.create(path, { ...more, type: 'file', size: content.length } as NewFile);
  writer.write(Buffer.from(content, 'latin1'));
};
const at = (seconds: number, nanoseconds = 0) => ({ seconds, nanoseconds });

/** All that an image can have, in the order in which `walk` finds it. */
function fillWithEverything(writer: Ext4Writer): void {
  writer.create('', { type: 'directory', mode: 0o1755, uid: 7, modified: at(1_600_000_000, 5) });
  const xattrs = new Map<string, Uint8Array>([
    ['user.note', Buffer.from([0, 10, 61, 255])],
    ['user.empty', new Uint8Array()],
    ['user.large', Buffer.alloc(2000, 2)],
  ]);
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  writer.create('dir', { type: 'directory', mode: 0o2750, gid: 3_000_000_000, xattrs });
  file(writer, 'dir/plain', 'content');
  file(writer, 'dir/capable', '', { xattrs: new Map([['security.capability', capability]]) });
  file(writer, 'dir/attributes', 'x'.repeat(600), { xattrs, uid: 4_294_967_294, mode: 0o6711 });
  for (const [name, modified] of [
    ['before', at(-1, 500_000_000)],
    ['long-before', at(-2_000_000_000)],
    ['after', at(10_000_000_000, 999_999_999)],
  ] as const) {
    file(writer, `dir/${name}`, '', { modified });
  }
  file(writer, 'dir/read', 'x', { modified: at(1), accessed: at(2, 1000), changed: at(3) });
  writer.create('dir/hard', { type: 'symlink', target: 'plain' });
  writer.link('dir/hard', 'dir/hard-symlink');
  writer.link('dir/plain', 'z-hard');
  for (const length of [95, 99, 100, 101, 155, 200, 255]) {
    writer.create('n'.repeat(length), { type: 'directory' });
    file(writer, `${'n'.repeat(length)}/${'m'.repeat(length)}`, '1');
    writer.create(`${'n'.repeat(length)}/link`, { type: 'symlink', target: 't'.repeat(length) });
  }
  file(writer, 'umlaut-\xc3\xa4', 'utf-8');
  file(writer, 'no-utf8-\xff', 'bytes');
  writer.create('null', { type: 'character', major: 1, minor: 3 });
  writer.create('disk', { type: 'block', major: 4095, minor: 1_048_575 });
  writer.create('pipe', { type: 'fifo', modified: at(5) });
}

function fillWithHoles(writer: Ext4Writer, largest = 2 ** 34): void {
  const sparse = (path: string, ...parts: number[]): void => {
    writer.create(path, { type: 'file', size: parts.reduce((sum, part) => sum + Math.abs(part), 0) });
    for (const part of parts) {
      if (part < 0) writer.skip(-part);
      else writer.write(new Uint8Array(part).fill(65));
    }
  };
  sparse('begin', -8192, 5000);
  sparse('end', 4096, -1_000_000);
  sparse('all', -300_000);
  sparse('middle', 4096, -8192, 100);
  sparse(`${'long'.repeat(40)}`, -largest, 1, -10_000);
  sparse('many', ...Array.from({ length: 2000 }, (_, index) => (index % 2 === 0 ? 4096 : -4096)));
}

for (const [kind, fill, options] of [
  ['everything', fillWithEverything, {}],
  ['everything with inline data', fillWithEverything, { inlineData: true, metadataChecksums: true }],
  ['everything without lost+found', fillWithEverything, { lostAndFound: false }],
  ['holes', fillWithHoles, {}],
] as const) {
  test(`an image of ${kind} goes through an archive and back unchanged`, async () => {
    const image = makeImage(fill, options);
    const again = new MemoryStorage();
    await tarToExt4([exported(image)], again, options);
    assert.ok(Buffer.from(again.bytes).equals(image.bytes));
  });
}

test('a record comes before an entry only where the header cannot say it', () => {
  const archive = exported(
    makeImage((writer) => {
      file(writer, `plain`, 'x', { uid: 2_097_151, modified: at(8_589_934_591) });
      writer.create('dir', { type: 'directory' });
      writer.create(`dir/${'n'.repeat(100)}`, { type: 'symlink', target: 't'.repeat(100) });
      writer.link('plain', 'link');
    }),
  );
  assert.ok(!archive.includes('PaxHeaders'));
  for (const more of [
    { uid: 2_097_152 },
    { modified: at(8_589_934_592) },
    { modified: at(0, 1) },
    { accessed: at(1) },
  ]) {
    const one = exported(makeImage((writer) => file(writer, 'f', 'x', more)));
    assert.equal(one.toString('latin1').split('PaxHeaders').length - 1, 1, JSON.stringify(more));
  }
});

test('the root comes first, an empty lost+found is left out, sockets are too', () => {
  const image = makeImage((writer) => {
    writer.create('socket', { type: 'socket' });
    writer.link('socket', 'again');
    file(writer, 'f', '');
  });
  const names = (archive: Uint8Array): string[] => entriesOf(archive).map(({ path }) => path);
  assert.deepEqual(names(exported(image)), ['./', 'f']);
  assert.deepEqual(names(exported(image, { lostAndFound: true })), ['./', 'lost+found/', 'f']);
  const found = makeImage((writer) => file(writer, 'lost+found/#12', 'x'));
  assert.deepEqual(names(exported(found)), ['./', 'lost+found/', 'lost+found/#12']);
});

test('a file of more than 8 GiB has its size in a record', () => {
  const now = at(1_700_000_000);
  const entry = { path: 'large', mode: 0o644, uid: 0, gid: 0, target: '', major: 0, minor: 0 };
  for (const size of [2 ** 33 - 1, 2 ** 33, 2 ** 50]) {
    const head = new TarEncoder().entry({ ...entry, type: 'file', size, modified: now, xattrs: new Map() });
    const found: TarEntry[] = [];
    new TarDecoder({ entry: (one) => found.push(one), data: () => {}, hole: () => {} }).push(head);
    assert.equal(found[0]?.size, size);
    assert.equal(head.length, size < 2 ** 33 ? 512 : 1536);
  }
});

test('where a file has more holes than an archive can say, the smaller ones are content', () => {
  const image = makeImage((writer) => {
    const holes = 40_000;
    writer.create('f', { type: 'file', size: holes * 8192 + (1 << 24) + 1 });
    for (let index = 0; index < holes; index++) {
      writer.write(new Uint8Array(4096).fill(1));
      writer.skip(4096);
    }
    writer.skip(1 << 24);
    writer.write(new Uint8Array(1).fill(1));
  });
  let content = 0;
  let holes = 0;
  const decoder = new TarDecoder({
    entry: () => {},
    data: (bytes) => {
      content += bytes.length;
    },
    hole: (count) => {
      holes += count;
    },
  });
  for (const piece of ext4ToTar(new Ext4Reader(image))) decoder.push(piece);
  decoder.end();
  assert.equal(content, 40_000 * 8192 - 4096 + 1);
  assert.equal(holes, (1 << 24) + 4096);
});

test('GNU tar lists it, extracts it, and finds no difference', () => {
  using directory = temporaryDirectory();
  const archive = join(directory.path, 'tar');
  const target = join(directory.path, 'target');
  mkdirSync(target);
  const fills = [fillWithEverything, (writer: Ext4Writer) => fillWithHoles(writer, 2 ** 26)];
  for (const [index, fill] of fills.entries()) {
    const image = makeImage(fill);
    writeFileSync(archive, exported(image));
    const listed = gnuTar('-tf', archive);
    assert.equal(listed.split('\n').length - 1, entriesOf(exported(image)).length);
    if (!isRoot) continue;
    const xattrs = index === 0 ? ['--xattrs', '--xattrs-include=*'] : [];
    gnuTar('-C', target, '--numeric-owner', '-p', ...xattrs, '-xf', archive);
    assert.equal(gnuTar('-C', target, '--numeric-owner', '-df', archive), '');
  }
});

function gnuTar(...options: string[]): string {
  const { status, stdout, stderr } = spawnSync('tar', ['--warning=no-timestamp', ...options], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  assert.equal(stderr, '');
  assert.equal(status, 0, stdout);
  return stdout;
}

test('what mke2fs made of a directory compares equal to that directory', { skip: !hasE2fsck }, () => {
  using directory = temporaryDirectory();
  const source = join(directory.path, 'source');
  mkdirSync(join(source, 'sub', 'd'.repeat(120)), { recursive: true });
  writeFileSync(join(source, 'sub', 'd'.repeat(120), 'é'), 'x'.repeat(10_000));
  writeFileSync(join(source, 'sparse'), 'begin');
  truncateSync(join(source, 'sparse'), 3_000_000);
  writeFileSync(join(source, 'sparse'), 'end', { flag: 'a' });
  linkSync(join(source, 'sparse'), join(source, 'sub/hard'));
  symlinkSync('t'.repeat(150), join(source, 'link'));
  spawnSync('mkfifo', [join(source, 'fifo')]);
  for (let index = 0; index < 300; index++) writeFileSync(join(source, 'sub', `number-${index}`), `${index}`);
  // mke2fs keeps whole seconds only.
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    lutimesSync(join(source, name), 1e9, 1_234_567_890);
  }
  utimesSync(source, 1e9, 1_234_567_891);
  for (const options of [
    ['-t', 'ext4'],
    ['-t', 'ext4', '-O', 'inline_data'],
    ['-t', 'ext2', '-b', '1024'],
  ]) {
    const image = join(directory.path, 'image');
    const made = spawnSync('mke2fs', ['-q', '-F', ...options, '-d', source, image, '8M']);
    assert.equal(made.status, 0, String(made.stderr));
    const archive = join(directory.path, 'tar');
    writeFileSync(archive, exported(new MemoryStorage(readFileSync(image))));
    assert.equal(gnuTar('-C', source, '--numeric-owner', '-df', archive), '', options.join(' '));
    assert.equal(gnuTar('-tf', archive).split('\n').length - 1, 308);
  }
});
