import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import { tar } from './archive.fixture.ts';
import { readTar, type TarEntry } from './tar-reader.ts';

async function* chunked(bytes: Uint8Array, length = bytes.length || 1): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function read(source: AsyncIterable<Uint8Array>): Promise<(TarEntry & { text: string })[]> {
  const entries: (TarEntry & { text: string })[] = [];
  for await (const entry of readTar(source)) {
    const parts: Uint8Array[] = [];
    for await (const part of entry.content) parts.push(part);
    entries.push({ ...entry, text: Buffer.concat(parts).toString('latin1') });
  }
  return entries;
}

const invalid = (error: Error): boolean => isHcsError(error, 'HCS_E_INVALID_LAYER');

for (const format of ['gnu', 'pax', 'ustar', 'v7']) {
  test(`what GNU tar writes as ${format} is read`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'hcsshim-tar-'));
    try {
      const deep = format === 'v7' ? 'short' : join(...Array.from({ length: 10 }, () => 'a'.repeat(20)));
      mkdirSync(join(directory, deep), { recursive: true });
      writeFileSync(join(directory, deep, 'file'), 'content of it');
      symlinkSync(format === 'gnu' || format === 'pax' ? 't'.repeat(150) : 'file', join(directory, 'link'));
      const archive = execFileSync('tar', [
        '-C',
        directory,
        `--format=${format}`,
        '--sort=name',
        '-cf',
        '-',
        '.',
      ]);
      const entries = await read(chunked(archive, 1000));
      const file = entries.find(({ path }) => path === `./${deep}/file`);
      assert.equal(file?.text, 'content of it');
      assert.equal(archive.toString('latin1', file?.offset, (file?.offset ?? 0) + 13), 'content of it');
      assert.equal(file?.type, 'file');
      assert.equal(
        entries.find(({ path }) => path === './link')?.target.length,
        format === 'gnu' || format === 'pax' ? 150 : 4,
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

test('extended headers win: path, owner, time, attributes', async () => {
  const [entry, next] = await read(
    chunked(
      tar([
        {
          name: 'short',
          pax: { path: 'lo\u00ffng', uid: '3000000000', mtime: '-1.5', 'SCHILY.xattr.user.a': 'x\0y=\n' },
        },
        { name: 'next', time: 7 },
      ]),
    ),
  );
  assert.equal(entry?.path, 'lo\u00ffng');
  assert.equal(entry?.uid, 3_000_000_000);
  assert.equal(entry?.modified, -1_500_000_000n);
  assert.deepEqual(
    [...(entry?.attributes ?? [])].map(([name, value]) => [name, Buffer.from(value).toString()]),
    [['user.a', 'x\0y=\n']],
  );
  assert.deepEqual([next?.path, next?.modified, next?.attributes.size], ['next', 7_000_000_000n, 0]);
});

test('content that nobody reads is skipped', async () => {
  const paths: string[] = [];
  for await (const { path } of readTar(
    chunked(
      tar([
        { name: 'a', content: 'x'.repeat(2000) },
        { name: 'b', content: 'y' },
      ]),
      100,
    ),
  )) {
    paths.push(path);
  }
  assert.deepEqual(paths, ['a', 'b']);
});

test('entries come out the same wherever the stream is split', async () => {
  const archive = tar([{ name: 'a', content: 'x'.repeat(700) }, { name: 'b' }, { name: 'c', content: 'z' }]);
  const whole = (await read(chunked(archive))).map(({ path, text }) => [path, text]);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1500 }), async (length) => {
      assert.deepEqual(
        (await read(chunked(archive, length))).map(({ path, text }) => [path, text]),
        whole,
      );
    }),
    { numRuns: 30 },
  );
});

test('an archive that is cut short is refused', async () => {
  const archive = tar([{ name: 'a', content: 'x'.repeat(2000) }]);
  for (const length of [100, 511, 513, 2000, 512 + 1999]) {
    await assert.rejects(read(chunked(archive.subarray(0, length))), invalid, `${length} bytes`);
  }
});

test('a header that is damaged is refused', async () => {
  const archive = tar([{ name: 'a' }]);
  archive[5] = 1;
  await assert.rejects(read(chunked(archive)), /wrong checksum/);
});

test('records that are malformed, endless or of unknown kind are refused', async () => {
  const bad = [
    tar([{ name: 'p', type: 'x', content: '99999 path=a\n' }, { name: 'a' }]),
    tar([{ name: 'p', type: 'x', content: 'path=a' }, { name: 'a' }]),
    tar([{ name: 'p', type: 'x', content: '0 a=b\n' }, { name: 'a' }]),
    tar([{ name: 'p', type: 'x', content: '-5 a=b\n' }, { name: 'a' }]),
    tar([{ name: 'L', type: 'L', content: 'x'.repeat(1 << 21) }]),
    tar([{ name: 'sparse', type: 'S' }]),
    tar([{ name: 'a', pax: { 'GNU.sparse.major': '1' } }]),
    tar([{ name: 'a', pax: { size: '-1' } }]),
    tar([{ name: 'a', pax: { size: '1e99' } }]),
    tar([{ name: 'a', pax: { mtime: 'now' } }]),
  ];
  for (const archive of bad) await assert.rejects(read(chunked(archive)), invalid);
});

test('any bytes at all give entries or an error of one kind', async () => {
  const valid = tar([
    { name: 'a', content: 'x', pax: { mtime: '1.5' } },
    { name: 'b', type: '5' },
  ]);
  await fc.assert(
    fc.asyncProperty(fc.nat(valid.length - 1), fc.nat(255), async (at, value) => {
      const archive = Buffer.from(valid);
      archive[at] = value;
      await read(chunked(archive)).catch((error: Error) => assert.ok(invalid(error), String(error)));
    }),
    { numRuns: 300 },
  );
});
