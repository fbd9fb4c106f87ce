import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { elfNeeds, elfSection, isElf, stripElf } from './elf.ts';

const node = readFileSync(process.execPath);

test('the loader and the libraries of a program are those that it maps when it runs', () => {
  const { interpreter = '', libraries } = elfNeeds(node);
  const maps = readFileSync('/proc/self/maps', 'utf8');
  assert.match(interpreter, /^\/lib.*\/ld-linux/);
  assert.ok(libraries.length > 0);
  for (const library of libraries) assert.ok(maps.includes(`/${library}`), `${library} is not mapped`);
});

test('a stripped program is smaller and runs', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hcsshim-elf-'));
  try {
    const stripped = stripElf(node);
    assert.ok(isElf(stripped) && stripped.length < node.length);
    assert.equal(stripElf(stripped).length, stripped.length);
    writeFileSync(join(directory, 'node'), stripped);
    chmodSync(join(directory, 'node'), 0o755);
    const printed = execFileSync(join(directory, 'node'), ['-p', 'process.version'], { encoding: 'utf8' });
    assert.equal(printed.trim(), process.version);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a section is found by its name', () => {
  assert.match(Buffer.from(elfSection(node, '.interp') ?? []).toString(), /ld-linux/);
  assert.equal(elfSection(node, '.nothing'), undefined);
});
