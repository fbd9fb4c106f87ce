import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether e2fsprogs are here. */
export const hasE2fsck = spawnSync('e2fsck', ['-V']).status === 0;

/** A directory that is gone when its block ends. */
export function temporaryDirectory(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'ext4-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** What e2fsck prints when it has nothing to say but the names of its passes and the sum. */
const noComplaint =
  /^Pass 1: .*\nPass 2: .*\nPass 3: .*\nPass 4: .*\nPass 5: .*\n.*: \d+\/\d+ files .*, \d+\/\d+ blocks\n$/;

/** Fails unless e2fsck finds nothing at all. */
export function assertClean(image: string | Uint8Array): void {
  if (!hasE2fsck) return;
  using directory = temporaryDirectory();
  const path = typeof image === 'string' ? image : join(directory.path, 'image');
  if (typeof image !== 'string') writeFileSync(path, image);
  const { status, stdout } = spawnSync('e2fsck', ['-fn', path], { encoding: 'utf8' });
  assert.match(stdout, noComplaint);
  assert.equal(status, 0, stdout);
}

/** What one debugfs command prints. */
export function debugfs(path: string, command: string): string {
  return spawnSync('debugfs', ['-R', command, path], { encoding: 'utf8' }).stdout;
}
