import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemoryStorage, tarToExt4 } from '@hcsshim/ext4';
import { DeviceOutput } from './device-output.ts';
import { TemporaryDirectory, tar } from './tar2ext4.fixture.ts';

test('on a device that holds old bytes the image is the same as in a new file', async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file('device');
  writeFileSync(path, Buffer.alloc(8 << 20, 0xff));
  const archive = tar({ big: Buffer.alloc(1 << 20), small: 'x', 'empty/': '' });
  const options = { maximumDiskSize: 2 ** 40, size: 4 << 20 };
  const fresh = new MemoryStorage();
  const fd = openSync(path, 'r+');
  try {
    await tarToExt4([archive], fresh, options);
    await tarToExt4([archive], new DeviceOutput(fd), options);
  } finally {
    closeSync(fd);
  }
  const device = readFileSync(path);
  assert.ok(device.subarray(0, fresh.size).equals(fresh.bytes));
  assert.ok(
    device.subarray(fresh.size).every((byte) => byte === 0xff),
    'what is behind it is not touched',
  );
});
