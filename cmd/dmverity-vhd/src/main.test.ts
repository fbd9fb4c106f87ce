import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Ext4Reader, MemoryStorage, readSuperblock, readVerity, readVhdFooter } from '@hcsshim/ext4';
import {
  assertClean,
  descriptorOf,
  diffIds,
  dmverityVhd,
  dockerArchive,
  hasVeritysetup,
  imageBlobs,
  layers,
  listen,
  sha256,
  startDmverityVhd,
  TestDirectory,
  tar,
} from './dmverity-vhd.fixture.ts';

const [base, top] = diffIds as [string, string];

/** The size of the file system in a VHD. */
function fileSystemSize(vhd: Uint8Array): number {
  return readSuperblock(new MemoryStorage(vhd)).blocks * 4096;
}

function rootHashesIn(output: string): string[] {
  return [...output.matchAll(/^Layer \d+ root hash: ([0-9a-f]{64})$/gm)].map(([, hash]) => hash!);
}

test('create writes a VHD per layer: file system, dm-verity tree, footer', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers }));
  const made = await dmverityVhd(['-t', archive, 'create', '-i', 'test:1', '-o', directory.file('out')]);
  assert.deepEqual({ code: made.code, stderr: made.stderr }, { code: 0, stderr: '' });
  const rootHashes = rootHashesIn(made.stdout);
  assert.deepEqual(made.stdout.trimEnd().split('\n'), [
    `Layer VHD created at ${directory.file('out', `${base}.vhd`)}`,
    `Layer 0 root hash: ${rootHashes[0]}`,
    `Layer VHD created at ${directory.file('out', `${top}.vhd`)}`,
    `Layer 1 root hash: ${rootHashes[1]}`,
  ]);
  assert.deepEqual(directory.list('out'), [`${base}.vhd`, `${top}.vhd`].sort());
  for (const [index, diffId] of diffIds.entries()) {
    const path = directory.file('out', `${diffId}.vhd`);
    const vhd = readFileSync(path);
    const disk = new MemoryStorage(vhd);
    assertClean(path);
    const size = fileSystemSize(vhd);
    assert.equal(Buffer.from(readVerity(disk, size).rootHash).toString('hex'), rootHashes[index]);
    assert.equal(readVhdFooter(disk).size, vhd.length - 512);
    if (!hasVeritysetup) continue;
    const { status, stderr } = spawnSync(
      'veritysetup',
      ['verify', path, path, rootHashes[index]!, `--hash-offset=${size}`],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
  }
  const reader = new Ext4Reader(new MemoryStorage(readFileSync(directory.file('out', `${top}.vhd`))));
  assert.equal(reader.stat('etc/motd')?.type, 'character', 'a whiteout as overlayfs knows it');
});

test('the same image makes the same bytes, and roothash says the same hashes', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers }));
  const outputs = await Promise.all(
    ['a', 'b'].map((out) =>
      dmverityVhd(['create', '--tarball', archive, '--out-dir', directory.file(out)]).then(
        ({ stdout }) => stdout,
      ),
    ),
  );
  for (const name of directory.list('a')) {
    assert.ok(readFileSync(directory.file('a', name)).equals(readFileSync(directory.file('b', name))));
  }
  const { code, stdout } = await dmverityVhd(['-tarball', archive, 'roothash', '-image', 'test:1']);
  const [first, second] = rootHashesIn(outputs[0]!);
  assert.equal(code, 0);
  assert.equal(stdout, `Layer 0 root hash: ${first}\nLayer 1 root hash: ${second}\n`);
});

test('with -hdv the hash device is a VHD of its own', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers }));
  const out = directory.file('out');
  const { stdout } = await dmverityVhd(['-t', archive, 'create', '-i', 'test:1', '-o', out, '-hdv']);
  const names = [`${base}.hash-dev.vhd`, `${base}.vhd`, `${top}.hash-dev.vhd`, `${top}.vhd`];
  assert.deepEqual(directory.list('out'), names.sort());
  assert.match(
    stdout,
    new RegExp(`hash device created at ${directory.file('out', `${base}.hash-dev.vhd`)}\n`),
  );
  const [data, hashes] = [`${base}.vhd`, `${base}.hash-dev.vhd`].map((name) => directory.file('out', name));
  const vhd = new MemoryStorage(readFileSync(data!));
  assert.equal(vhd.size, fileSystemSize(vhd.bytes) + 512, 'nothing but the file system and the footer');
  const hashDevice = new MemoryStorage(readFileSync(hashes!));
  const [rootHash] = rootHashesIn(stdout);
  assert.equal(Buffer.from(readVerity(hashDevice, 0).rootHash).toString('hex'), rootHash);
  const ids = [vhd, hashDevice].map((disk) => Buffer.from(readVhdFooter(disk).id).toString('hex'));
  assert.notEqual(ids[0], ids[1]);
});

test('with -dir a tar archive that is no image becomes a VHD, named by its path', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('tree.tar');
  writeFileSync(archive, layers[0]!);
  const out = directory.file('out');
  const { code, stdout } = await dmverityVhd(['create', '--dir', '-i', archive, '-o', out]);
  assert.equal(code, 0);
  const name = `${archive.replaceAll('/', '_').slice(0, -'.tar'.length)}.vhd`;
  assert.deepEqual(directory.list('out'), [name]);
  assert.ok(stdout.startsWith(`Directory VHD created at ${directory.file('out', name)}\n`));
  assertClean(directory.file('out', name));
});

test('an OCI layout is read as a directory and as an archive, with compressed layers', async () => {
  using directory = new TestDirectory();
  const blobs = imageBlobs(layers, { compress: gzipSync });
  const files = Object.fromEntries(blobs.map(({ bytes }) => [`blobs/sha256/${sha256(bytes)}`, bytes]));
  const index = { schemaVersion: 2, manifests: [descriptorOf(blobs.at(-1)!)] };
  const all = {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify(index),
    ...files,
  };
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(dirname(directory.file('layout', name)), { recursive: true });
    writeFileSync(directory.file('layout', name), content);
  }
  writeFileSync(directory.file('layout.tar.gz'), gzipSync(tar(all)));
  const outputs = await Promise.all(
    ['layout', 'layout.tar.gz'].map((name) => dmverityVhd(['-t', directory.file(name), 'roothash'])),
  );
  assert.equal(rootHashesIn(outputs[0]!.stdout).length, 2);
  assert.deepEqual(outputs[0], outputs[1]);
});

test('of several images in an archive the named one is taken', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers, 'other:latest': layers.slice(1) }));
  const other = await dmverityVhd(['-t', archive, 'roothash', '-i', 'docker.io/library/other']);
  assert.equal(rootHashesIn(other.stdout).length, 1);
  const { code, stderr } = await dmverityVhd(['-t', archive, 'roothash', '-i', 'none']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^dmverity-vhd: Cannot open image ".*": it holds several images, and none is "none"\n$/,
  );
});

test('a layer that is in the image twice is converted once', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': [layers[1]!, layers[0]!, layers[1]!] }));
  const { stdout, stderr } = await dmverityVhd(['-v', '-t', archive, 'roothash']);
  const [first, , third] = rootHashesIn(stdout);
  assert.equal(first, third);
  assert.equal(stderr.match(/Hashing layer/g)?.length, 2);
});

test('a layer that is not what its digest says leaves no VHD', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  const image = dockerArchive({ 'test:1': [layers[0]!] });
  image[image.indexOf('base\n')]! ^= 1;
  writeFileSync(archive, image);
  const { code, stderr } = await dmverityVhd(['-t', archive, 'create', '-o', directory.file('out')]);
  assert.equal(code, 1);
  assert.match(stderr, /^dmverity-vhd: Cannot use layer sha256:[0-9a-f]{64}: its digest is /);
  assert.deepEqual(directory.list('out'), []);
});

test('a damaged image is told', async () => {
  using directory = new TestDirectory();
  const archive = directory.file('image.tar');
  writeFileSync(archive, dockerArchive({ 'test:1': layers }));
  truncateSync(archive, 100_000);
  for (const path of [archive, directory.file('missing')]) {
    const { code, stderr } = await dmverityVhd(['-t', path, 'roothash']);
    assert.equal(code, 1);
    assert.match(stderr, /^dmverity-vhd: Cannot open image ".*": .*\n$/);
  }
});

test('wrong use is told, with the usage', async () => {
  const cases: [string[], RegExp][] = [
    [['make'], /Cannot understand "make"/],
    [['create', '-i', 'x'], /--out-dir is missing/],
    [['roothash'], /--input is missing/],
    [['-d', '-t', 'x', 'roothash'], /both --docker and --tarball/],
    [['roothash', '-i', 'x', '-u', 'me'], /give both --username and --password/],
    [['roothash', '-i', 'x', '-platform', 'linux'], /Cannot take --platform/],
    [['roothash', '-i', 'x', '-o', 'y'], /there is no flag of this name/],
    [['roothash', '-i', 'x', 'y'], /Cannot understand "y"/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, stderr } = await dmverityVhd(args);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.match(stderr, /\nUsage: /);
    }),
  );
  const help = await dmverityVhd(['create', '--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: /);
});

test('an interrupted program ends by its signal and leaves nothing', async () => {
  using directory = new TestDirectory();
  mkdirSync(directory.file('temporary'));
  // A daemon that begins an archive and never ends it.
  const server = createServer((_, response) => response.write('begin'));
  const socket = directory.file('socket');
  await listen(server, socket);
  try {
    const running = startDmverityVhd(['-d', 'create', '-i', 'test', '-o', directory.file('out')], {
      DOCKER_HOST: `unix://${socket}`,
      TMPDIR: directory.file('temporary'),
    });
    while (
      !directory.list('temporary').some((name) => existsSync(directory.file('temporary', name, 'image.tar')))
    )
      await sleep(10);
    running.kill('SIGINT');
    assert.deepEqual(await once(running, 'exit'), [null, 'SIGINT']);
    assert.deepEqual(directory.list('temporary'), []);
    assert.deepEqual(directory.list('out'), []);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
