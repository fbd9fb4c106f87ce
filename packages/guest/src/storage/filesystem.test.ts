import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { defaultPath, findExecutable } from '../processes/executable.ts';
import { detectFilesystem, formatFilesystem } from './filesystem.ts';

let directory: string;
let image: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'filesystem-'));
  image = join(directory, 'image');
  writeFileSync(image, '');
  truncateSync(image, 4 * 1024 * 1024);
});

after(() => rmSync(directory, { recursive: true }));

test('a blank disk has no file system', async () => {
  assert.equal(await detectFilesystem(image), undefined);
});

const withoutMkfs = findExecutable('mkfs.ext4', { path: defaultPath }) ? false : 'needs mkfs.ext4';

test('a disk that was formatted is recognised', { skip: withoutMkfs }, async () => {
  await formatFilesystem('ext4', image);
  assert.equal(await detectFilesystem(image), 'ext4');
});

test('what cannot be made is refused, and a formatter that fails is quoted', async () => {
  await assert.rejects(formatFilesystem('ntfs', image), (error) => isHcsError(error, 'E_INVALIDARG'));
  await assert.rejects(formatFilesystem('constructor', image), (error) => isHcsError(error, 'E_INVALIDARG'));
});

test("a formatter's own words are part of the error", { skip: withoutMkfs }, async () => {
  await assert.rejects(
    formatFilesystem('ext4', join(directory, 'none')),
    /mkfs\.ext4 ended with code \d+: .*none/s,
  );
});
