import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { attachLoopDevice } from './loop-device.ts';

const skip = process.getuid?.() === 0 && existsSync('/dev/loop-control') ? false : 'loop devices need root';

async function temporaryFile(content: Uint8Array): Promise<AsyncDisposable & { path: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-loop-'));
  const path = join(directory, 'disk');
  await writeFile(path, content);
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

test('a loop device shows the asked part of the file and is freed on close', { skip }, async () => {
  const content = Buffer.alloc(3 * 4096 + 512, 'a');
  content.fill('b', 4096, 8192);
  await using file = await temporaryFile(content);
  await using device = await attachLoopDevice(file.path, { readOnly: true, offset: 4096, sizeLimit: 8192 });
  const shown = await readFile(device.path);
  assert.equal(shown.length, 8192);
  assert.ok(shown.equals(content.subarray(4096, 12288)));
  const backing = `/sys/block/${basename(device.path)}/loop/backing_file`;
  assert.equal(readFileSync(backing, 'utf8').trim(), file.path);
  await device.close();
  // The kernel frees it a little later, and someone else may have taken it by then.
  for (let round = 0; round < 200 && existsSync(backing); round++) {
    if (readFileSync(backing, 'utf8').trim() !== file.path) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(!existsSync(backing) || readFileSync(backing, 'utf8').trim() !== file.path);
});

test('writes go to the file unless it is read-only', { skip }, async () => {
  await using file = await temporaryFile(Buffer.alloc(8192));
  {
    await using device = await attachLoopDevice(file.path);
    await using writable = await open(device.path, 'r+');
    await writable.write(Buffer.alloc(512, 'w'), 0, 512, 512);
    await writable.sync();
  }
  assert.equal((await readFile(file.path)).toString('latin1', 512, 514), 'ww');
  await using device = await attachLoopDevice(file.path, { readOnly: true });
  assert.equal(readFileSync(`/sys/block/${basename(device.path)}/ro`, 'utf8'), '1\n');
});

test('several at once get a device each', { skip }, async () => {
  await using file = await temporaryFile(Buffer.alloc(4096));
  const devices = await Promise.all(
    Array.from({ length: 3 }, () => attachLoopDevice(file.path, { readOnly: true })),
  );
  assert.equal(new Set(devices.map((device) => device.path)).size, 3);
  for (const device of devices) await device.close();
});
