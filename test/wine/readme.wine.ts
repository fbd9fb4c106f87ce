import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const readme = join(import.meta.dirname, '../../packages/windows/README.md');

test("the README's example runs, and ends by itself", async () => {
  const [, example] = /```ts\r?\n([\s\S]+?)```/.exec(await readFile(readme, 'utf8')) ?? [];
  assert.ok(example);
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  try {
    const program = join(directory, 'example.mts');
    await writeFile(program, example);
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, program]);
    assert.match(stdout, /^\{"Id":"readme","State":"Running"/m);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
