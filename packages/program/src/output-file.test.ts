import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { OutputFile } from './output-file.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'program-test-'));
  path = join(directory, 'output');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('a file has its name when it is complete, and not before', () => {
  using file = new OutputFile(path);
  writeSync(file.fd, 'content');
  assert.ok(!readdirSync(directory).includes('output'));
  file.complete();
  assert.deepEqual(readdirSync(directory), ['output']);
  assert.equal(readFileSync(path, 'utf8'), 'content');
});

test('of one that was not completed nothing is left, and what was there before stays', () => {
  writeFileSync(path, 'before');
  {
    using file = new OutputFile(path);
    writeSync(file.fd, 'half');
  }
  assert.deepEqual(readdirSync(directory), ['output']);
  assert.equal(readFileSync(path, 'utf8'), 'before');
});

test('a file in its place is replaced and passes its permissions on; a link to it stays', () => {
  writeFileSync(path, 'before');
  chmodSync(path, 0o640);
  symlinkSync('output', join(directory, 'link'));
  using file = new OutputFile(join(directory, 'link'));
  writeSync(file.fd, 'after');
  file.complete();
  assert.deepEqual(readdirSync(directory), ['link', 'output']);
  assert.equal(readFileSync(path, 'utf8'), 'after');
  assert.equal(statSync(path).mode & 0o777, 0o640);
});

test('a name of 255 bytes is none too long', () => {
  const longest = join(directory, 'n'.repeat(255));
  using file = new OutputFile(longest);
  file.complete();
  assert.equal(statSync(longest).size, 0);
});

test('what is no regular file is written in place', () => {
  using file = new OutputFile('/dev/null');
  assert.equal(file.inPlace, true);
  writeSync(file.fd, 'content');
  file.complete();
  assert.ok(statSync('/dev/null').isCharacterDevice());
});

test('a place where no file can be is told', () => {
  mkdirSync(path);
  for (const wrong of [path, join(directory, 'missing', 'output')]) {
    assert.throws(() => new OutputFile(wrong), /^Error: Cannot write ".*": /);
  }
  assert.deepEqual(readdirSync(directory), ['output']);
});
