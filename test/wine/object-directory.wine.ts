import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceLocationPath, JobObject, listChildDevices, listObjectDirectory } from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

describe('a directory of the object manager', () => {
  test('has names and types of its objects', async () => {
    const root = await listObjectDirectory('\\');
    assert.ok(root.some(({ name, type }) => name === 'BaseNamedObjects' && type === 'Directory'));
    const names = await listObjectDirectory('/??');
    assert.ok(names.some(({ name, type }) => name === 'C:' && type === 'SymbolicLink'));
  });

  test('has many objects, each once, and closes its handle', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `hcsshim-test-${process.pid}-${index}`);
    const path = (name: string) => `\\BaseNamedObjects\\${name}`;
    const jobs = await Promise.all(names.map((name) => JobObject.create({ name: path(name), useNt: true })));
    await listObjectDirectory('\\BaseNamedObjects');
    const before = openHandles();
    const listed = await listObjectDirectory('\\basenamedobjects');
    assert.equal(openHandles(), before);
    const ours = listed.filter(({ name }) => name.startsWith(`hcsshim-test-${process.pid}-`));
    assert.deepEqual(ours.map(({ name }) => name).sort(), names.sort());
    assert.deepEqual(new Set(ours.map(({ type }) => type)), new Set(['Job']));
    await Promise.all(jobs.map((job) => job.close()));
  });

  test('that does not exist is refused in words', async () => {
    await assert.rejects(listObjectDirectory('\\Missing'), {
      message:
        'Cannot list object directory "\\Missing": NtOpenDirectoryObject failed with NTSTATUS 0xC0000034, File not found',
    });
  });
});

describe('devices under Wine, which has stubs for them,', () => {
  test('have no children', async () => {
    assert.deepEqual(await listChildDevices(['HTREE\\ROOT\\0']), []);
  });

  test('are not found', async () => {
    await assert.rejects(deviceLocationPath('HTREE\\ROOT\\0'), {
      message:
        'Cannot read property 37 of device "HTREE\\ROOT\\0": CM_Locate_DevNodeW failed with CONFIGRET 0x00000013, the device manager has failed',
    });
  });
});
