import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMemfd } from './memfd.ts';
import { copySparse } from './sparse-copy.ts';

const size = 64 << 20;

async function sparseFile(): Promise<AsyncDisposable & { path: string; directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-copy-'));
  const path = join(directory, 'sparse');
  await using file = await open(path, 'w');
  await file.truncate(size);
  await file.write(Buffer.alloc((2 << 20) + 5, 'x'), 0, undefined, 4096);
  await file.write(Buffer.from('end'), 0, 3, size - 3);
  return { path, directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

test('a copy has the same bytes and the same holes', async () => {
  await using file = await sparseFile();
  const copy = join(file.directory, 'copy');
  await copySparse(file.path, copy);
  assert.ok(readFileSync(copy).equals(readFileSync(file.path)));
  assert.ok(statSync(copy).blocks * 512 < 4 << 20);
});

test('a copy into a memory file leaves it open and small', async () => {
  await using file = await sparseFile();
  const memory = createMemfd('copy', 0);
  const copied = await copySparse(file.path, memory);
  assert.ok(copied > 2 << 20 && copied < 3 << 20, `copied ${copied} bytes`);
  const { size: copySize, blocks } = fstatSync(memory);
  assert.equal(copySize, size);
  assert.ok(blocks * 512 < 4 << 20);
  const tail = Buffer.alloc(3);
  readSync(memory, tail, 0, 3, size - 3);
  assert.equal(tail.toString(), 'end');
  closeSync(memory);
});

test('a copy that is aborted rejects and a missing source is named', async () => {
  await using file = await sparseFile();
  const copy = join(file.directory, 'copy');
  await assert.rejects(copySparse(file.path, copy, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(copySparse(join(file.directory, 'none'), copy), { code: 'ENOENT' });
});

test('an empty file is copied', async () => {
  await using file = await sparseFile();
  const empty = join(file.directory, 'empty');
  closeSync(openSync(empty, 'w'));
  const copy = join(file.directory, 'copy');
  assert.equal(await copySparse(empty, copy), 0);
  assert.equal(statSync(copy).size, 0);
});
