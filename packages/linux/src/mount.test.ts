import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mount } from './mount.ts';

const needsRoot = process.getuid?.() === 0 ? false : 'mounts need root';

test('mount, remount read-only and unmount', { skip: needsRoot }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'hcsshim-mount-'));
  const index = JSON.stringify(new URL('./index.ts', import.meta.url).href);
  const script = `
    import { readFileSync, writeFileSync } from 'node:fs';
    import { mount, MountFlag, unmount } from ${index};
    const target = ${JSON.stringify(directory)};
    const line = () => readFileSync('/proc/self/mounts', 'utf8').split('\\n').find((l) => l.split(' ')[1] === target);
    mount('memory', target, 'tmpfs', MountFlag.noExec | MountFlag.noSuid, 'size=64k,mode=700');
    console.log(line());
    writeFileSync(target + '/file', 'x');
    mount('', target, '', MountFlag.remount | MountFlag.readOnly);
    try { writeFileSync(target + '/file', 'y'); } catch (error) { console.log(error.code); }
    unmount(target);
    console.log(line());`;
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['-m', process.execPath, '--input-type=module', '-e', script],
    {
      encoding: 'utf8',
    },
  );
  rmSync(directory, { recursive: true });
  assert.equal(stderr, '');
  const [mounted, write, gone] = stdout.trim().split('\n');
  assert.match(mounted!, /^memory \S+ tmpfs rw,nosuid,noexec,.*size=64k,mode=700/);
  assert.equal(write, 'EROFS');
  assert.equal(gone, 'undefined');
});

test('a failed mount names the source, the target and the reason', { skip: needsRoot }, () => {
  assert.throws(() => mount('/dev/nothing', '/nonexistent', 'ext4'), {
    code: 'ENOENT',
    errno: 2,
    syscall: 'mount',
    message: 'Cannot mount "/dev/nothing" on "/nonexistent": no such file or directory (ENOENT from mount)',
  });
});
