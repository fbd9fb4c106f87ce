import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { koffi } from './koffi.ts';
import { explicitAccess, genericRights, grantVmGroupAccess, vmGroupEntry } from './vm-group-access.ts';

describe('access for the VM group', () => {
  test('golden bytes: an entry that grants to S-1-5-83-0, inherited below a directory', () => {
    assert.equal(explicitAccess.size, 48);
    for (const [isDirectory, inheritance] of [
      [false, '00000000'],
      [true, '03000000'],
    ] as const) {
      const entry = vmGroupEntry(genericRights.read + genericRights.execute, isDirectory);
      const pointer = entry.readBigUInt64LE(40);
      assert.equal(pointer, koffi().address(entry) + 48n);
      entry.fill(0, 40, 48);
      assert.equal(
        entry.toString('hex'),
        `000000a001000000${inheritance}00000000${'00'.repeat(16)}0500000000000000${'00'.repeat(8)}01020000000000055300000000000000`,
      );
    }
  });

  test('without a right is refused', async () => {
    await assert.rejects(grantVmGroupAccess('C:\\disk.vhdx', []), {
      name: 'TypeError',
      message: 'Cannot grant the VM group access to "C:\\disk.vhdx": no right is named',
    });
  });
});
