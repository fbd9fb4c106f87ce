import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { FileInput, FileOutput, MemoryStorage } from './byte-storage.ts';
import { temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Error } from './ext4-error.ts';
import { readVerity, verifyVerityTree, verityRootHash, writeVerityTree } from './verity.ts';

const hasVeritysetup = spawnSync('veritysetup', ['--version']).status === 0;
const uuid = '01234567-89ab-cdef-0123-456789abcdef';

function makeData(blocks: number): Uint8Array {
  return Uint8Array.from({ length: blocks * 4096 }, (_, index) => (index * 31 + (index >>> 12)) & 0xff);
}

/** The tree as the format's text says it, all in memory. */
function referenceRoot(data: Uint8Array, salt: Uint8Array): Buffer {
  const digest = (block: Uint8Array): Buffer => createHash('sha256').update(salt).update(block).digest();
  const level = Array.from({ length: data.length / 4096 }, (_, index) =>
    digest(data.subarray(index * 4096, (index + 1) * 4096)),
  );
  if (level.length === 1) return level[0]!;
  const joined = Buffer.concat(level);
  return referenceRoot(Buffer.concat([joined, Buffer.alloc((4096 - (joined.length % 4096)) % 4096)]), salt);
}

test('the root hash is right for trees of every shape', async () => {
  for (const blocks of [1, 2, 128, 129, 300, 128 * 128 + 1]) {
    const data = new MemoryStorage(makeData(blocks));
    for (const salt of [new Uint8Array(32), Buffer.from('abcd', 'hex'), new Uint8Array()]) {
      assert.deepEqual(
        Buffer.from(await verityRootHash(data, data.size, { salt })),
        referenceRoot(data.bytes, salt),
        `${blocks} blocks`,
      );
    }
  }
});

test('a tree behind its data is read and verified, and damage of either is told', async () => {
  const disk = new MemoryStorage(makeData(1000));
  const { rootHash, size } = await writeVerityTree(disk, 1000 * 4096, disk, 1000 * 4096, { uuid });
  assert.equal(disk.size, 1000 * 4096 + size);
  const read = readVerity(disk, 1000 * 4096);
  assert.deepEqual(Buffer.from(read.rootHash), Buffer.from(rootHash));
  assert.equal(read.dataBlocks, 1000);
  await verifyVerityTree(disk, disk, 1000 * 4096, rootHash);
  const invalid = (message: RegExp) => (error: unknown) =>
    error instanceof Ext4Error && message.test(error.message);
  disk.bytes[500 * 4096]! ^= 1;
  await assert.rejects(
    verifyVerityTree(disk, disk, 1000 * 4096, rootHash),
    invalid(/block 5: it does not fit the data/),
  );
  disk.bytes[500 * 4096]! ^= 1;
  await assert.rejects(verifyVerityTree(disk, disk, 1000 * 4096, new Uint8Array(32)), invalid(/root hash/));
  assert.throws(() => readVerity(disk, 0), invalid(/magic/));
  assert.throws(() => readVerity(disk, disk.size - 100), invalid(/ends at/));
});

test('the hash device is the one that veritysetup makes', { skip: !hasVeritysetup }, async () => {
  using directory = temporaryDirectory();
  const [data, hashes] = ['data', 'hashes'].map((name) => join(directory.path, name)) as [string, string];
  const disk = new MemoryStorage(makeData(20_000));
  writeFileSync(data, disk.bytes);
  const salt = '00'.repeat(32);
  const { stdout } = spawnSync('veritysetup', ['format', `--salt=${salt}`, `--uuid=${uuid}`, data, hashes], {
    encoding: 'utf8',
  });
  const output = new MemoryStorage();
  const { rootHash } = await writeVerityTree(disk, disk.size, output, 0, { uuid });
  assert.match(stdout, new RegExp(Buffer.from(rootHash).toString('hex')));
  assert.ok(readFileSync(hashes).equals(output.bytes));
});

/** A file large enough for workers, with content here and there, and not a whole number of their ranges. */
function largeFile(path: string): Disposable & { fd: number; size: number } {
  const fd = openSync(path, 'w+');
  const size = (130 << 20) + 3 * 4096;
  ftruncateSync(fd, size);
  for (let at = 0; at < size; at += 777_777) writeSync(fd, String(at), at);
  return { fd, size, [Symbol.dispose]: () => closeSync(fd) };
}

test('workers make the same hash device as one thread', async () => {
  using directory = temporaryDirectory();
  using file = largeFile(join(directory.path, 'data'));
  const salt = Buffer.from('not thirty-two bytes');
  const [alone, together] = [new MemoryStorage(), new MemoryStorage()];
  const data = new FileInput(file.fd);
  const expected = await writeVerityTree(data, file.size, alone, 0, { salt, workers: 1 });
  assert.deepEqual(await writeVerityTree(data, file.size, together, 0, { salt, workers: 3 }), expected);
  assert.ok(Buffer.from(alone.bytes).equals(together.bytes));
  // Behind the data that is being read.
  await writeVerityTree(data, file.size, new FileOutput(file.fd), file.size, { salt, workers: 2 });
  const both = new FileInput(file.fd);
  await verifyVerityTree(both, both, file.size, expected.rootHash);
  writeSync(file.fd, 'x', file.size - 1);
  await assert.rejects(
    verifyVerityTree(both, both, file.size, expected.rootHash),
    /it does not fit the data/,
  );
});

test('workers end with the signal, and when the file is too short or closed', async () => {
  using directory = temporaryDirectory();
  using file = largeFile(join(directory.path, 'data'));
  const whole = new FileInput(file.fd);
  const controller = new AbortController();
  const aborted = verityRootHash(whole, file.size, { signal: controller.signal, workers: 2 });
  setImmediate(() => controller.abort(new Error('enough')));
  await assert.rejects(aborted, /enough/);
  await assert.rejects(
    verityRootHash(whole, file.size, { signal: AbortSignal.abort(new Error('before')), workers: 2 }),
    /before/,
  );
  const short = new FileInput(file.fd, file.size + 4096);
  await assert.rejects(
    verityRootHash(short, short.size, { workers: 2 }),
    /^RangeError: .* ends at 136327168/,
  );
  const closed = new FileInput(1_000_000, file.size);
  await assert.rejects(verityRootHash(closed, closed.size, { workers: 2 }), { code: 'EBADF' });
  await assert.rejects(verityRootHash(whole, file.size, { workers: 0 }), { code: 'INVALID_OPTION' });
});

test('workers start from a bundle', async () => {
  using directory = temporaryDirectory();
  using file = largeFile(join(directory.path, 'data'));
  const bundle = join(directory.path, 'bundle.cjs');
  const contents = `
    import { openSync } from 'node:fs';
    import { FileInput, verityRootHash } from './index.ts';
    const data = new FileInput(openSync(process.argv[2]));
    verityRootHash(data, data.size, { workers: 2 }).then((hash) => console.log(Buffer.from(hash).toString('hex')));
  `;
  const resolveDir = fileURLToPath(new URL('.', import.meta.url));
  await build({
    stdin: { contents, resolveDir, loader: 'ts' },
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    outfile: bundle,
  });
  const { stdout } = spawnSync(process.execPath, [bundle, join(directory.path, 'data')], {
    encoding: 'utf8',
  });
  const expected = await verityRootHash(new FileInput(file.fd), file.size, { workers: 1 });
  assert.equal(stdout.trim(), Buffer.from(expected).toString('hex'));
});
