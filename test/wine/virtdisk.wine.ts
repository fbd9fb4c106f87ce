import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHcsError } from '@hcsshim/schema';
import { createNtfsDisk, formatWritableLayerDisk, VirtualDisk } from '@hcsshim/storage/windows';
import { bind, type Dll, kernel32, virtdisk } from '@hcsshim/windows';

const GIB = 1n << 30n;
const root = mkdtempSync(join(tmpdir(), 'disks-'));
after(() => rmSync(root, { recursive: true }));

const standIn = bind({
  file: 'virtdisk.dll',
  build: 0,
  source: 'stand-in/virtdisk.c',
  procedures: {
    StandInCountOpenDisks: { returns: 'INT', parameters: {}, immediate: true, purpose: 'Not closed' },
    StandInCountAttachedDisks: { returns: 'INT', parameters: {}, immediate: true, purpose: 'Not detached' },
  },
} as const satisfies Dll);

/** The footer of a fixed VHD, with its checksum at 64, at the end of a file of this size. */
function fixedVhd(path: string, size: number): Buffer {
  const file = Buffer.alloc(size + 512);
  file.write('conectix', size);
  let sum = 0;
  for (const byte of file.subarray(size)) sum += byte;
  file.writeUInt32BE(~sum >>> 0, size + 64);
  writeFileSync(path, file);
  return file;
}

describe('a virtual disk', () => {
  test('is made once, attached once, and detached when it is closed', async () => {
    const path = join(root, 'disk é.vhdx');
    await using disk = await VirtualDisk.create(path, 20n * GIB);
    assert.ok(statSync(path).size > 0);
    await assert.rejects(VirtualDisk.create(path, 20n * GIB), (error) => {
      assert.ok(isHcsError(error) && error.message.startsWith(`Cannot create disk "${path}": `));
      return true;
    });
    await disk.attach();
    assert.equal(standIn.StandInCountAttachedDisks({}), 1);
    await assert.rejects(disk.attach(), (error) => isHcsError(error, 'ERROR_SHARING_VIOLATION'));
    await disk[Symbol.asyncDispose]();
    assert.equal(standIn.StandInCountAttachedDisks({}), 0);
    await assert.rejects(disk.detach(), /Cannot detach disk .* handle "HANDLE" that is closed/);
  });

  test('can keep the differences to another, which must be there', async () => {
    const [parent, child] = [join(root, 'parent.vhdx'), join(root, 'child.vhdx')];
    await assert.rejects(VirtualDisk.createDifferencing(child, parent), (error) =>
      isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
    );
    assert.equal(existsSync(child), false);
    await (await VirtualDisk.create(parent, GIB))[Symbol.asyncDispose]();
    await using disk = await VirtualDisk.createDifferencing(child, parent);
    await disk.attach({ encrypt: false });
    await disk.detach();
    assert.ok(existsSync(child));
  });

  test('that is a fixed VHD opens by its footer alone', async () => {
    const path = join(root, 'fixed.vhd');
    const file = fixedVhd(path, 4096);
    await using disk = await VirtualDisk.open(path, { readOnly: true });
    // What is open for reading cannot be attached for writing.
    await assert.rejects(disk.attach(), (error) => isHcsError(error, 'E_ACCESSDENIED'));
    file.writeUInt8(1, 4096 + 20);
    writeFileSync(join(root, 'damaged.vhd'), file);
    await assert.rejects(
      VirtualDisk.open(join(root, 'damaged.vhd')),
      /OpenVirtualDisk failed with 0xC03A0002/,
    );
    writeFileSync(join(root, 'empty.vhd'), '');
    await assert.rejects(VirtualDisk.open(join(root, 'empty.vhd')), /OpenVirtualDisk failed with 0xC03A0001/);
  });

  test('has a path, which is absolute', async () => {
    for (const path of ['', 'disk.vhdx', 'C:disk.vhdx', '\\disk.vhdx', 'C:\\a\0b.vhdx'])
      await assert.rejects(VirtualDisk.open(path), (error) => isHcsError(error, 'E_INVALIDARG'), path);
    await assert.rejects(VirtualDisk.open('disk.vhdx'), {
      message: /as the path of a disk: it is no absolute path of Windows, write it as C:\\folder\\name/,
    });
  });

  test('with NTFS is made whole or not at all', async () => {
    const path = join(root, 'ntfs.vhdx');
    await createNtfsDisk(path, 10n * GIB);
    await using disk = await VirtualDisk.open(path);
    await disk.attach();
    await formatWritableLayerDisk(disk);
    await assert.rejects(createNtfsDisk(path, 10n * GIB), (error) => {
      assert.ok(isHcsError(error) && error.message.startsWith(`Cannot create NTFS disk "${path}": `));
      return true;
    });
    // The one that was there is still there.
    assert.ok(existsSync(path));
    await assert.rejects(createNtfsDisk(join(root, 'odd.vhdx'), 5n), (error) =>
      isHcsError(error, 'E_INVALIDARG'),
    );
    assert.equal(existsSync(join(root, 'odd.vhdx')), false);
  });

  test('is not begun for a signal that has been given', async () => {
    const path = join(root, 'aborted.vhdx');
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(VirtualDisk.create(path, GIB, { signal }), /enough/);
    assert.equal(existsSync(path), false);
  });

  test('that is given up while it is made is gone when the call in its thread has ended', async () => {
    const path = join(root, 'late.vhdx');
    await assert.rejects(createNtfsDisk(path, GIB, { timeout: 0 }), (error) =>
      isHcsError(error, 'HCS_E_OPERATION_TIMEOUT'),
    );
    for (let tries = 0; tries < 200 && (existsSync(path) || standIn.StandInCountOpenDisks({}) > 0); tries++)
      await sleep(10);
    assert.equal(existsSync(path), false);
    assert.equal(standIn.StandInCountOpenDisks({}), 0);
  });

  test('takes a call of version 2 without rights, and one of version 1 with the right to what it is for', async () => {
    const { OpenVirtualDisk, AttachVirtualDisk, DetachVirtualDisk } = bind(virtdisk);
    const path = join(root, 'calls.vhdx');
    await (await VirtualDisk.create(path, GIB))[Symbol.asyncDispose]();
    const open = { storageType: Buffer.alloc(20), path, flags: 0, parameters: null };
    await assert.rejects(OpenVirtualDisk({ ...open, accessMask: 0 }), { kind: 'WIN32_ERROR', status: 87 });
    const { disk } = await OpenVirtualDisk({ ...open, accessMask: 0x10000 });
    const attach = { disk, securityDescriptor: null, providerFlags: 0, parameters: null, overlapped: null };
    await assert.rejects(AttachVirtualDisk({ ...attach, flags: 0 }), { status: 5 });
    await AttachVirtualDisk({ ...attach, flags: 1 });
    await assert.rejects(DetachVirtualDisk({ disk, flags: 0, providerFlags: 0 }), { status: 5 });
    bind(kernel32).CloseHandle({ object: disk });
  });

  test('was closed whenever it was opened', () => {
    assert.equal(standIn.StandInCountOpenDisks({}), 0);
    assert.equal(standIn.StandInCountAttachedDisks({}), 0);
  });
});
