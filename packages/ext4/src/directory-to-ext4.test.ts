import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryStorage } from './byte-storage.ts';
import { directoryToExt4 } from './directory-to-ext4.ts';
import { assertClean, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Error } from './ext4-error.ts';
import { Ext4Reader } from './ext4-reader.ts';

test('a directory is taken over with links, holes, times and names of any bytes', async () => {
  using directory = temporaryDirectory();
  const source = join(directory.path, 'source');
  mkdirSync(join(source, 'sub/deeper'), { recursive: true });
  writeFileSync(join(source, 'sub/file'), 'content');
  chmodSync(join(source, 'sub/file'), 0o4755);
  linkSync(join(source, 'sub/file'), join(source, 'hard'));
  symlinkSync('../é', join(source, 'sub/deeper/link'));
  writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0x80])]), 'bytes');
  writeFileSync(join(source, 'sparse'), 'begin');
  truncateSync(join(source, 'sparse'), 50_000_000);
  spawnSync('mkfifo', [join(source, 'fifo')]);
  utimesSync(join(source, 'sub'), 1e9, 1_234_567_890.5);
  const make = async (): Promise<MemoryStorage> => {
    const storage = new MemoryStorage();
    const readXattrs = (path: Buffer): Map<string, Uint8Array> =>
      new Map(String(path).endsWith('/sub') ? [['user.x', Buffer.from('y')]] : []);
    await directoryToExt4(source, storage, { lostAndFound: false, readXattrs });
    assertClean(storage.bytes);
    return storage;
  };
  const storage = await make();
  assert.ok(Buffer.from(storage.bytes).equals((await make()).bytes));
  const reader = new Ext4Reader(storage, { pathEncoding: 'latin1' });
  const paths = [...reader.walk()].map(({ path }) => path);
  assert.deepEqual(paths.sort(), [
    '',
    'fifo',
    'hard',
    'sparse',
    'sub',
    'sub/deeper',
    'sub/deeper/link',
    'sub/file',
    '\xff\x80',
  ]);
  assert.equal(reader.stat('hard')?.inode, reader.stat('sub/file')?.inode);
  assert.equal(reader.stat('hard')?.mode, 0o4755);
  assert.equal(reader.stat('hard')?.uid, lstatSync(join(source, 'hard')).uid);
  assert.equal(Buffer.from(reader.stat('sub/deeper/link')?.target ?? '', 'latin1').toString(), '../é');
  assert.deepEqual(reader.stat('sub')?.modified, { seconds: 1_234_567_890, nanoseconds: 500_000_000 });
  assert.deepEqual([...(reader.stat('sub')?.xattrs.keys() ?? [])], ['user.x']);
  assert.equal(Buffer.from(reader.readFile('\xff\x80')).toString(), 'bytes');
  assert.equal(reader.stat('sparse')?.size, 50_000_000);
  assert.ok(storage.size < 200_000);
});

test('device numbers are those of the machine', async () => {
  using directory = temporaryDirectory();
  if (spawnSync('mknod', [join(directory.path, 'device'), 'b', '259', '70000']).status !== 0) return;
  const storage = new MemoryStorage();
  await directoryToExt4(directory.path, storage);
  const { major, minor } = new Ext4Reader(storage).stat('device')!;
  assert.deepEqual({ major, minor }, { major: 259, minor: 70_000 });
});

test('a directory that is not there is told', async () => {
  await assert.rejects(
    directoryToExt4('/nowhere/at/all', new MemoryStorage()),
    (error) => error instanceof Ext4Error && error.code === 'FILE_NOT_FOUND',
  );
});
