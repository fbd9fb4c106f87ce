import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MemoryStorage } from './byte-storage.ts';
import { assertClean, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Error, type Ext4ErrorCode } from './ext4-error.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { type TarToExt4Options, tarToExt4 } from './tar-to-ext4.ts';

interface Member {
  name: string;
  type?: string;
  content?: string | Uint8Array;
  target?: string;
  mode?: number;
  pax?: Record<string, string>;
}

/** An archive by hand, so that it can be one that no archiver would write. */
function tar(...members: Member[]): Buffer {
  const parts: Buffer[] = [];
  const add = ({ name, type = '0', content = '', target = '', mode = 0o644 }: Member): void => {
    const body = Buffer.from(content as string);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'utf8');
    for (const [value, at, width] of [
      [mode, 100, 7],
      [5, 108, 7],
      [6, 116, 7],
      [body.length, 124, 11],
      [1_700_000_000, 136, 11],
    ] as const) {
      header.write(value.toString(8).padStart(width, '0'), at);
    }
    header.write(' '.repeat(8), 148);
    header.write(type, 156);
    header.write(target, 157, 100, 'utf8');
    header.write('ustar\x0000', 257);
    header.write(
      header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0'),
      148,
    );
    header[154] = 0;
    parts.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  };
  for (const member of members) {
    if (member.pax) {
      const lines = Object.entries(member.pax).map(([key, value]) => {
        const rest = Buffer.byteLength(` ${key}=${value}\n`);
        let length = rest + 1;
        while (String(length).length + rest !== length) length = String(length).length + rest;
        return `${length} ${key}=${value}\n`;
      });
      add({ name: 'PaxHeaders', type: 'x', content: lines.join('') });
    }
    add(member);
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

async function convert(
  archive: Uint8Array,
  options: TarToExt4Options = {},
  chunk = archive.length,
): Promise<Ext4Reader> {
  const storage = new MemoryStorage();
  const chunks = (function* (): Generator<Uint8Array> {
    for (let at = 0; at < archive.length; at += chunk) yield archive.subarray(at, at + chunk);
  })();
  await tarToExt4(chunks, storage, options);
  assertClean(storage.bytes);
  return new Ext4Reader(storage);
}

const text = (reader: Ext4Reader, path: string): string => Buffer.from(reader.readFile(path)).toString();

test('members of every type, with their attributes, in pieces of any size', async () => {
  const archive = tar(
    { name: 'dir/', type: '5', mode: 0o1755 },
    {
      name: './dir/file',
      content: 'content',
      pax: { mtime: '1700000000.123456789', 'SCHILY.xattr.user.é': 'v' },
    },
    { name: 'missing/parents/link', type: '2', target: '../dir/file' },
    { name: '/dir/hard', type: '1', target: './dir/file' },
    { name: 'dir/to-link', type: '1', target: 'missing/parents/link' },
    { name: 'dir/fifo', type: '6' },
    { name: 'x', content: 'y', pax: { path: `${'long/'.repeat(40)}name`, uid: '4000000000' } },
  );
  for (const chunk of [archive.length, 1, 511, 700]) {
    const reader = await convert(archive, {}, chunk);
    assert.equal(text(reader, 'dir/hard'), 'content');
    const file = reader.stat('dir/file');
    assert.deepEqual(file?.modified, { seconds: 1_700_000_000, nanoseconds: 123_456_789 });
    assert.deepEqual([...(file?.xattrs.keys() ?? [])], ['user.é']);
    assert.equal(file?.links, 2);
    assert.equal(reader.stat('dir')?.mode, 0o1755);
    assert.equal(reader.stat('dir/to-link')?.target, '../dir/file');
    assert.equal(reader.stat('dir/fifo')?.type, 'fifo');
    assert.equal(reader.stat(`${'long/'.repeat(40)}name`)?.uid, 4_000_000_000);
  }
});

for (const format of ['gnu', 'pax', 'ustar']) {
  test(`reads what GNU tar writes as ${format}`, async () => {
    using directory = temporaryDirectory();
    const source = join(directory.path, 'source');
    const long = join(source, `${'d'.repeat(90)}/${'e'.repeat(60)}`);
    mkdirSync(long, { recursive: true });
    writeFileSync(join(long, 'f'), 'deep');
    writeFileSync(join(source, 'sparse'), 'begin');
    truncateSync(join(source, 'sparse'), 9_000_000);
    writeFileSync(join(source, 'sparse'), 'end', { flag: 'a' });
    linkSync(join(source, 'sparse'), join(source, 'z-hard'));
    symlinkSync('x'.repeat(90), join(source, 'link'));
    const file = join(directory.path, 'tar');
    const sparse = format === 'ustar' ? [] : ['--sparse'];
    const { status, stderr } = spawnSync('tar', [
      `--format=${format}`,
      ...sparse,
      '-C',
      source,
      '-cf',
      file,
      '.',
    ]);
    assert.equal(status, 0, String(stderr));
    const reader = await convert(readFileSync(file));
    assert.deepEqual(Buffer.from(reader.readFile('sparse')), readFileSync(join(source, 'sparse')));
    assert.equal(reader.stat('z-hard')?.links, 2);
    assert.equal(text(reader, `${'d'.repeat(90)}/${'e'.repeat(60)}/f`), 'deep');
    assert.equal(reader.stat('link')?.target, 'x'.repeat(90));
    if (format !== 'ustar') assert.ok(reader.superblock.blocks < 100);
  });
}

test('a hard link may come before its file, and before the link that it leads to', async () => {
  const archive = tar(
    { name: 'd/first', type: '1', target: 'd/second' },
    { name: 'd/second', type: '1', target: 'late' },
    { name: 'again', type: '1', target: 'late' },
    { name: 'again', content: 'came later' },
    { name: 'late', content: 'content' },
  );
  const reader = await convert(archive);
  for (const path of ['d/first', 'd/second', 'late']) {
    assert.equal(Buffer.from(reader.readFile(path)).toString(), 'content');
    assert.equal(reader.stat(path)?.links, 3);
  }
  assert.equal(Buffer.from(reader.readFile('again')).toString(), 'came later');
  await assert.rejects(
    convert(tar({ name: 'x', type: '1', target: 'y' }, { name: 'z', type: '1', target: 'x' })),
    /member "x" at byte 0: Cannot link "x": there is no file "y"/,
  );
});

test('the oldest form of sparse files, and escaped names of attributes', async (t) => {
  using directory = temporaryDirectory();
  const sparse = join(directory.path, 'sparse');
  writeFileSync(sparse, 'begin');
  truncateSync(sparse, 1_000_000);
  writeFileSync(sparse, 'end', { flag: 'a' });
  for (const version of ['0.0', '0.1', '1.0']) {
    const { status, stdout } = spawnSync(
      'tar',
      ['-S', '--format=posix', `--sparse-version=${version}`, '-c', '-C', directory.path, 'sparse'],
      { maxBuffer: 1 << 22 },
    );
    if (status !== 0) return t.skip('needs GNU tar');
    assert.ok(stdout.length < 100_000);
    const reader = await convert(stdout);
    assert.ok(Buffer.from(reader.readFile('sparse')).equals(readFileSync(sparse)), version);
  }
  const reader = await convert(tar({ name: 'f', pax: { 'SCHILY.xattr.user.a%3Db%25c': 'v' } }));
  assert.deepEqual([...(reader.stat('f')?.xattrs.keys() ?? [])], ['user.a=b%c']);
});

test('whiteouts become those of overlayfs when asked', async () => {
  const archive = tar(
    { name: 'a/.wh.gone' },
    { name: 'a/.wh..wh..opq' },
    { name: 'a/', type: '5', mode: 0o700, pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/b' } },
    { name: '.wh..wh.plnk/1' },
    { name: '.wh..wh.aufs' },
  );
  const plain = await convert(archive);
  assert.equal(plain.stat('a/.wh.gone')?.type, 'file');
  const reader = await convert(archive, { convertWhiteouts: true, dropTrusted: true });
  const { type, major, minor } = reader.stat('a/gone')!;
  assert.deepEqual({ type, major, minor }, { type: 'character', major: 0, minor: 0 });
  assert.equal(reader.stat('a')?.mode, 0o700);
  assert.deepEqual([...(reader.stat('a')?.xattrs.keys() ?? [])], ['trusted.overlay.opaque']);
  assert.equal(reader.stat('.wh..wh.aufs'), undefined);
});

test('gzip and zstd are recognised, and damage is told', async () => {
  const archive = tar({ name: 'f', content: 'x'.repeat(100_000) });
  for (const compressed of [gzipSync(archive), zstdCompressSync(archive)]) {
    for (const chunk of [1, 1000])
      assert.equal(text(await convert(compressed, {}, chunk), 'f').length, 100_000);
    await assert.rejects(
      convert(compressed.subarray(0, -9)),
      fails('INVALID_ARCHIVE', /decompress|ends at byte/),
    );
  }
});

function fails(code: Ext4ErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Ext4Error && error.code === code && message.test(error.message);
}

test('a bad archive is refused with the name of the member and its offset', async () => {
  const good = tar({ name: 'first', content: 'x' }, { name: 'second', content: 'y'.repeat(600) });
  const broken = Buffer.from(good);
  broken[1024 + 5]! ^= 1;
  const cases: [Uint8Array, Ext4ErrorCode, RegExp, TarToExt4Options?][] = [
    [broken, 'INVALID_ARCHIVE', /member "secon." at byte 1024: its header has a wrong checksum/],
    [
      good.subarray(0, 1700),
      'INVALID_ARCHIVE',
      /member "second" at byte 1024: the archive ends at byte 1700/,
    ],
    [good.subarray(0, 1100), 'INVALID_ARCHIVE', /the archive ends at byte 1100/],
    [good, 'LIMIT_EXCEEDED', /more than the allowed 1 entries/, { limits: { entries: 1 } }],
    [good, 'LIMIT_EXCEEDED', /more than the allowed 600 bytes/, { limits: { bytes: 600 } }],
    [
      tar({ name: 'n', pax: { path: 'n'.repeat(256) } }),
      'INVALID_NAME',
      /"nnn.* at byte 1024: .* has 256 bytes/,
    ],
    [tar({ name: 'f' }, { name: 'f/g' }), 'PATH_NOT_FOUND', /member "f\/g" at byte 512: .*no directory/],
    [tar({ name: 'f', type: 'Z' }), 'INVALID_ARCHIVE', /of type "Z"/],
    [tar({ name: 'h', type: '1', target: 'none' }), 'FILE_NOT_FOUND', /member "h".*there is no file "none"/],
    [
      tar({ name: 'f', content: 'x'.repeat(1e6) }),
      'DISK_SIZE_EXCEEDED',
      /member "f"/,
      { maximumDiskSize: 100_000 },
    ],
    [tar({ name: 'f', pax: { mtime: 'now' } }), 'INVALID_ARCHIVE', /its mtime is "now"/],
    [
      tar({ name: 's', pax: { 'GNU.sparse.map': '5,9', 'GNU.sparse.realsize': '3' } }),
      'INVALID_ARCHIVE',
      /parts/,
    ],
  ];
  for (const [archive, code, message, options] of cases) {
    await assert.rejects(convert(archive, options), fails(code, message), String(message));
  }
});

test('no path leads out of the image', async () => {
  const archive = tar(
    { name: '../../above', content: '1' },
    { name: 'out', type: '2', target: '/../..' },
    { name: 'out/through', content: '2' },
    { name: 'up', type: '1', target: '../../above' },
  );
  const reader = await convert(archive, { followSymlinks: true });
  assert.equal(text(reader, 'above'), '1');
  assert.equal(text(reader, 'through'), '2');
  assert.equal(text(reader, 'up'), '1');
});
