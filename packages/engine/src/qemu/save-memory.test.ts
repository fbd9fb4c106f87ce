import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { saveMemory } from './save-memory.ts';

test('memory is saved as it is, and zeros take no room', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-test-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const memory = Buffer.alloc(5 * 1024 * 1024 + 4096);
  memory.fill(1, 0, 70_000);
  memory.fill(2, 1_048_575, 1_048_577);
  memory.fill(3, memory.length - 1);
  const [source, destination] = [join(directory, 'source'), join(directory, 'saved')];
  await writeFile(source, memory);
  await saveMemory(source, destination, {});
  assert.ok(memory.equals(await readFile(destination)));
  assert.ok((await stat(destination)).blocks * 512 < 1024 * 1024);
});
