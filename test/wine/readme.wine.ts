import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const packages = join(import.meta.dirname, '../../packages');

/** The first example of each README, and what it prints. */
const examples: [folder: string, prints: RegExp][] = [
  ['windows', /^\{"Id":"readme","SystemType":"VirtualMachine","State":"Running"/m],
  ['hcn', /^\[ '[0-9A-F-]{36}' \] \[ \{ IpAddress: '10\.88\.0\.2', PrefixLength: 24 \} \]/m],
];

for (const [folder, prints] of examples) {
  test(`the example of the README of "${folder}" runs, and ends by itself`, () => runExample(folder, prints));
}

async function runExample(folder: string, prints: RegExp): Promise<void> {
  const readme = await readFile(join(packages, folder, 'README.md'), 'utf8');
  const [, example] = /```ts\r?\n([\s\S]+?)```/.exec(readme) ?? [];
  assert.ok(example);
  const directory = await mkdtemp(join(tmpdir(), 'readme-'));
  try {
    const program = join(directory, 'example.mts');
    await writeFile(program, example);
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, program]);
    assert.match(stdout, prints);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
