import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { Ext4Reader, MemoryStorage, readSuperblock, readVhdFooter } from '@hcsshim/ext4';
import {
  assertClean,
  program,
  startTar2ext4,
  TemporaryDirectory,
  tar,
  tar2ext4,
} from './tar2ext4.fixture.ts';

const archive = tar({ 'etc/': '', 'etc/motd': 'Hello\n', 'etc/.wh.gone': '', 'a\\b': 'slash' });

function names(image: string): string[] {
  return [...new Ext4Reader(new MemoryStorage(readFileSync(image))).walk()].map(({ path }) => path);
}

test('an archive from a file becomes an image that e2fsck has nothing to say about', () => {
  using directory = new TemporaryDirectory();
  const [input, output] = [directory.file('a.tar'), directory.file('image')];
  writeFileSync(input, archive);
  assert.deepEqual(tar2ext4(['-i', input, '-o', output]), { code: 0, stderr: '' });
  assertClean(output);
  assert.deepEqual(names(output), ['', 'lost+found', 'etc', 'etc/motd', 'etc/.wh.gone', 'a\\b']);
  assert.deepEqual(directory.list(), ['a.tar', 'image']);
});

test('standard input serves too, plain, with gzip or zstd, and all make the same image', () => {
  using directory = new TemporaryDirectory();
  const images = [archive, gzipSync(archive), zstdCompressSync(archive)].map((input, index) => {
    const output = directory.file(String(index));
    assert.deepEqual(tar2ext4(['-o', output], { input }), { code: 0, stderr: '' });
    return readFileSync(output);
  });
  assert.ok(images.every((image) => image.equals(images[0]!)));
});

test('flags have one dash or two, and a switch can be switched off', () => {
  using directory = new TemporaryDirectory();
  const output = directory.file('image');
  tar2ext4(['-overlay', '--convert-slash', `--o=${output}`], { input: archive });
  assert.deepEqual(names(output), ['', 'lost+found', 'etc', 'etc/motd', 'etc/gone', 'a', 'a/b']);
  tar2ext4(['-overlay', '-overlay=false', '-o', output], { input: archive });
  assert.ok(names(output).includes('etc/.wh.gone'), 'an image that was there is replaced');
});

test('more flags set what the superblock says', () => {
  using directory = new TemporaryDirectory();
  const output = directory.file('image');
  const uuid = '01234567-89ab-cdef-0123-456789abcdef';
  const flags = ['--uuid', uuid, '--label', 'hello', '--metadata-checksums', '-inline', '--max-size=1G'];
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  assert.deepEqual(tar2ext4([...flags, '-o', output], { input: archive, env }), { code: 0, stderr: '' });
  assertClean(output);
  const { stdout } = spawnSync('dumpe2fs', ['-h', output], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
  });
  if (stdout) {
    assert.match(stdout, /volume name: +hello\n/);
    assert.match(stdout, new RegExp(`UUID: +${uuid}\n`));
    assert.match(stdout, /features:.* inline_data.* metadata_csum/);
    assert.match(stdout, /created: +Tue Nov 14 22:13:20 2023\n/);
  }
});

test('large directories are indexed, and a journal makes the image one to write to', () => {
  using directory = new TemporaryDirectory();
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`d/file number ${index}`, '']));
  const archive = tar(files);
  const output = directory.file('image');
  const superblock = () => readSuperblock(new MemoryStorage(readFileSync(output)));
  assert.deepEqual(tar2ext4(['-o', output, '--index'], { input: archive }), { code: 0, stderr: '' });
  assertClean(output);
  // dir_index, and read-only.
  assert.equal(superblock().compat & 0x20, 0x20);
  assert.equal(superblock().readOnlyCompat & 0x1000, 0x1000);
  assert.deepEqual(tar2ext4(['-o', output, '--journal', '4M'], { input: archive }), { code: 0, stderr: '' });
  assertClean(output);
  assert.equal(superblock().compat & 0x4, 0x4);
  assert.equal(superblock().readOnlyCompat & 0x1000, 0);
  const refused = tar2ext4(['-o', output, '--journal', '1M'], { input: archive });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /journal of 1048576 bytes/);
});

test('a VHD is the image with a footer, and its id tells archives and flags apart', () => {
  using directory = new TemporaryDirectory();
  const make = (name: string, flags: string[], input = archive): Buffer => {
    assert.equal(tar2ext4([...flags, '-o', directory.file(name)], { input }).code, 0);
    return readFileSync(directory.file(name));
  };
  const [plain, vhd, again] = [make('a', []), make('b', ['-vhd']), make('c', ['-vhd'])];
  assert.ok(vhd.equals(again));
  assert.ok(vhd.subarray(0, plain.length).equals(plain));
  const ids = [vhd, make('d', ['-vhd', '-inline']), make('e', ['-vhd'], tar({ x: '' }))].map((image) =>
    Buffer.from(readVhdFooter(new MemoryStorage(image)).id).toString('hex'),
  );
  assert.equal(new Set(ids).size, 3);
});

test('with -only-vhd the input is copied, and gets the footer', () => {
  using directory = new TemporaryDirectory();
  const disk = directory.file('disk');
  const content = Buffer.alloc(4096, 'disk');
  writeFileSync(disk, content);
  assert.deepEqual(tar2ext4(['-only-vhd', '-i', disk, '-o', disk]), { code: 0, stderr: '' });
  const vhd = readFileSync(disk);
  assert.ok(vhd.subarray(0, 4096).equals(content));
  assert.equal(readVhdFooter(new MemoryStorage(vhd)).size, 4096);
  const { code, stderr } = tar2ext4(['-only-vhd', '-o', disk], { input: content.subarray(1) });
  assert.equal(code, 1);
  assert.match(stderr, /^tar2ext4: Cannot make a VHD of 4095 bytes: they are no whole sectors of 512\n$/);
});

test('wrong use shows the usage: 1 for words that are no flags, 2 for flags that are none, as upstream', () => {
  const cases: [string[], number, RegExp][] = [
    [[], 1, /^Usage:/],
    [['-o', 'x', 'archive.tar'], 1, /^Usage:/],
    [['-h'], 0, /^Usage:/],
    [['-size', '1'], 2, /^tar2ext4: Cannot understand "-size": .*\nUsage:/],
    [['-o'], 2, /value is missing\nUsage:/],
    [['-o', 'x', '--max-size', '17T'], 2, /Cannot take --max-size "17T"/],
    [['-o', 'x', '--uuid', 'x'], 2, /Cannot take --uuid "x"/],
    [['-o', 'x', '--label', '12345678901234567'], 2, /Cannot take --label/],
  ];
  for (const [args, code, message] of cases) {
    const outcome = tar2ext4(args);
    assert.equal(outcome.code, code, args.join(' '));
    assert.match(outcome.stderr, message);
  }
  const env = { SOURCE_DATE_EPOCH: 'now' };
  assert.match(tar2ext4(['-o', 'x'], { env }).stderr, /Cannot take SOURCE_DATE_EPOCH "now"/);
});

const wrongChecksum = Buffer.from(archive);
wrongChecksum[512]! ^= 1;
const badArchives: [string, Uint8Array, string[], RegExp][] = [
  ['a truncated archive', tar({ 'etc/motd': 'Hello' }).subarray(0, 514), [], /"etc\/motd" at byte 0: /],
  ['a wrong checksum', wrongChecksum, [], /at byte 512/],
  ['a truncated gzip stream', gzipSync(archive).subarray(0, 60), [], /Cannot decompress the archive/],
  [
    'more than the maximum size',
    tar({ big: Buffer.alloc(2 << 20) }),
    ['--max-size', '1M'],
    /"big" at byte 0/,
  ],
  ['no archive at all', Buffer.alloc(4096, 'x'), [], /Cannot read the tar archive/],
  ['hostile names', tar({ a: '', 'a/\x1b[31m\x9b': '' }), [], /\\u001b\[31m\S*\\x9b/],
];

for (const [name, input, flags, message] of badArchives) {
  test(`${name} is told in one line, and nothing is left`, () => {
    using directory = new TemporaryDirectory();
    writeFileSync(directory.file('image'), 'before');
    const { code, stderr } = tar2ext4([...flags, '-o', directory.file('image')], { input });
    assert.equal(code, 1);
    assert.match(stderr, /^tar2ext4: Cannot .*\n$/);
    assert.match(stderr, message);
    assert.ok(!stderr.includes('\x1b') && !stderr.includes('\x9b'));
    assert.deepEqual(directory.list(), ['image']);
    assert.equal(readFileSync(directory.file('image'), 'utf8'), 'before');
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends the program by that signal, while it waits too, and nothing is left`, async () => {
    using directory = new TemporaryDirectory();
    const running = startTar2ext4(['-o', directory.file('image')], { stdio: ['pipe', 'ignore', 'inherit'] });
    running.stdin!.on('error', () => {});
    running.stdin!.write(archive.subarray(0, 1536));
    while (directory.list().length === 0) await sleep(10);
    running.kill(signal);
    assert.deepEqual(await once(running, 'exit'), [null, signal]);
    assert.deepEqual(directory.list(), []);
  });
}

test('a pipe that closes early is told, and nothing is left', async () => {
  using directory = new TemporaryDirectory();
  const running = startTar2ext4(['-o', directory.file('image')], { stdio: ['pipe', 'ignore', 'pipe'] });
  running.stdin!.end(archive.subarray(0, 1100));
  const [stderr, [code]] = await Promise.all([running.stderr!.toArray(), once(running, 'exit')]);
  assert.equal(code, 1);
  assert.match(String(stderr), /member "etc\/motd" at byte 512: the archive ends at byte 1100/);
  assert.deepEqual(directory.list(), []);
});

test('a full disk is told, and nothing is left', () => {
  using directory = new TemporaryDirectory();
  assert.deepEqual(tar2ext4(['-o', '/dev/full'], { input: archive }), {
    code: 1,
    stderr: 'tar2ext4: Cannot write "/dev/full": no space left on device\n',
  });
  // The limit on a file's size stands for a disk that is full while the content is written.
  const image = directory.file('image');
  const { status, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 100; exec "$0" "$@"', process.execPath, ...program, '-o', image],
    { input: tar({ big: Buffer.alloc(3 << 20, 'x') }), encoding: 'utf8', timeout: 60_000 },
  );
  assert.equal(status, 1);
  assert.equal(stderr, `tar2ext4: Cannot write "${image}": file too large\n`);
  assert.deepEqual(directory.list(), []);
});

test('what cannot be read or written is told', () => {
  using directory = new TemporaryDirectory();
  const missing = directory.file('missing');
  const cases: [string[], string][] = [
    [['-i', missing, '-o', directory.file('image')], `Cannot read "${missing}": no such file or directory`],
    [
      ['-i', directory.path, '-o', missing],
      `Cannot read "${directory.path}": illegal operation on a directory`,
    ],
    [['-o', `${missing}/image`], `Cannot write "${missing}/image": no such file or directory`],
  ];
  for (const [args, message] of cases) {
    assert.deepEqual(tar2ext4(args), { code: 1, stderr: `tar2ext4: ${message}\n` });
  }
  assert.deepEqual(directory.list(), []);
});

const hasScript = spawnSync('script', ['--version']).status === 0;

test('a terminal sees how far it is', { skip: hasScript ? false : '"script" is not installed' }, () => {
  using directory = new TemporaryDirectory();
  const input = directory.file('a.tar');
  writeFileSync(input, tar({ big: Buffer.alloc(4 << 20) }));
  const command = [process.execPath, ...program, '-i', input, '-o', directory.file('image')].join(' ');
  const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
  assert.match(stdout, /tar2ext4 +[0-9]+% \[=* *\] [0-9.]+ MiB/);
});
