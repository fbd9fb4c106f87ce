import assert from 'node:assert/strict';
import { test } from 'node:test';
import { snapshotDirectories } from './overlay-mounts.ts';

test("containerd's overlay mount gives its lower directories, topmost first, and the upper one", () => {
  assert.deepEqual(
    snapshotDirectories([
      {
        type: 'overlay',
        source: 'overlay',
        options: ['index=off', 'workdir=/s/3/work', 'upperdir=/s/3/fs', 'lowerdir=/s/2/fs:/s/1/fs'],
      },
    ]),
    { lower: ['/s/2/fs', '/s/1/fs'], upper: '/s/3/fs' },
  );
});

test('a colon in a path is escaped', () => {
  const { lower } = snapshotDirectories([
    { type: 'overlay', source: 'overlay', options: ['lowerdir=/a\\:b:/c'] },
  ]);
  assert.deepEqual(lower, ['/a:b', '/c']);
});

test('a bind mount is one directory, read-only or writable', () => {
  assert.deepEqual(snapshotDirectories([{ type: 'bind', source: '/s/1/fs', options: ['ro', 'rbind'] }]), {
    lower: ['/s/1/fs'],
  });
  assert.deepEqual(snapshotDirectories([{ type: 'bind', source: '/s/1/fs', options: ['rw', 'rbind'] }]), {
    lower: [],
    upper: '/s/1/fs',
  });
});

test('other mounts are refused by name', () => {
  assert.throws(() => snapshotDirectories([{ type: 'ext4', source: '/dev/sdb', options: [] }]), /"ext4"/);
  assert.throws(() => snapshotDirectories([]), /gave no mount/);
});

test('what overlayfs takes apart in its own way is taken apart in that way', () => {
  const directories = (value: string): string[] =>
    snapshotDirectories([{ type: 'overlay', source: 'overlay', options: [`lowerdir=${value}`] }]).lower;
  assert.deepEqual(directories('/a'), ['/a']);
  assert.deepEqual(directories('/a,b:/c d'), ['/a,b', '/c d']);
  assert.deepEqual(directories('/a\\\\:/b'), ['/a\\', '/b']);
});

test('a mount that says nothing usable is refused', () => {
  const overlay = (...options: string[]) => [{ type: 'overlay', source: 'overlay', options }];
  assert.throws(() => snapshotDirectories(overlay()), /no lowerdir/);
  assert.throws(() => snapshotDirectories(overlay('lowerdir=a')), /"a" is not an absolute path/);
  assert.throws(
    () => snapshotDirectories([...overlay('lowerdir=/a'), ...overlay('lowerdir=/b')]),
    /2 mounts/,
  );
});
