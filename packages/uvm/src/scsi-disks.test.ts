import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestConnection } from '@hcsshim/bridge';
import { type ComputeSystem, HcsError, isHcsError } from '@hcsshim/hcs';
import type { ModifySettingRequest } from '@hcsshim/schema';
import { ScsiDisks } from './scsi-disks.ts';

/** Records what is asked of host and guest; the one request fails that `refused` names. */
function stage(refused = { call: '' }): { disks: ScsiDisks; calls: string[] } {
  const calls: string[] = [];
  const note = async (call: string): Promise<void> => {
    calls.push(call);
    if (call !== refused.call) return;
    throw new HcsError({ action: 'Cannot', problem: 'it was told to fail', code: 'E_FAIL' });
  };
  const system = {
    id: 'vm',
    modify: ({ RequestType, ResourcePath }: ModifySettingRequest) =>
      note(`host ${RequestType} ${ResourcePath.replace(/^.*Scsi/, '')}`),
  } as Partial<ComputeSystem> as ComputeSystem;
  const guest = {
    modifySettings: ({ RequestType, ResourceType, Settings }) =>
      note(`guest ${RequestType} ${ResourceType} ${(Settings as { Lun: number }).Lun}`),
  } as Partial<GuestConnection> as GuestConnection;
  return { disks: new ScsiDisks(system, guest, 1, [{ controller: 0, lun: 0 }]), calls };
}

test('a disk is attached on the host, then mounted in the guest; and taken off in the reverse order', async () => {
  const { disks, calls } = stage();
  const disk = await disks.mount({ path: '/a.vhd', readOnly: true });
  assert.equal(disk.guestPath, '/run/mounts/scsi/m0');
  await disk[Symbol.asyncDispose]();
  assert.deepEqual(calls, [
    'host Add /0/Attachments/1',
    'guest Add MappedVirtualDisk 1',
    'guest Remove MappedVirtualDisk 1',
    'guest Remove SCSIDevice 1',
    'host Remove /0/Attachments/1',
  ]);
});

test('a read-only disk that is asked for twice is attached once, and stays until both have let go', async () => {
  const { disks, calls } = stage();
  const [first, second] = await Promise.all([
    disks.mount({ path: '/a.vhd', readOnly: true }),
    disks.mount({ path: '/a.vhd', readOnly: true }),
  ]);
  assert.equal(first.guestPath, second.guestPath);
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  assert.equal(calls.length, 2);
  await second[Symbol.asyncDispose]();
  assert.equal(calls.length, 5);
});

test('a writable disk has one user', async () => {
  const { disks } = stage();
  await disks.mount({ path: '/a.vhd', readOnly: false });
  await assert.rejects(disks.mount({ path: '/a.vhd', readOnly: false }), (error) =>
    isHcsError(error, 'HCS_E_INVALID_STATE'),
  );
});

test('a guest that cannot mount it gets it taken off the host again, and the slot is free', async () => {
  const { disks, calls } = stage({ call: 'guest Add MappedVirtualDisk 1' });
  await assert.rejects(disks.mount({ path: '/a.vhd', readOnly: true }), /it was told to fail/);
  assert.equal(calls.at(-1), 'host Remove /0/Attachments/1');
});

test('all slots taken is an error that says how many there are', async () => {
  const { disks } = stage();
  for (let count = 1; count < 64; count++) await disks.mount({ path: `/${count}.vhd`, readOnly: true });
  await assert.rejects(disks.mount({ path: '/one-more.vhd', readOnly: true }), /all 64 SCSI slots are taken/);
});

test('what could not be taken back keeps its slot until a second disposal has gone on with it', async () => {
  const refused = { call: 'guest Remove MappedVirtualDisk 1' };
  const { disks, calls } = stage(refused);
  const disk = await disks.mount({ path: '/a.vhd', readOnly: true });
  await assert.rejects(async () => disk[Symbol.asyncDispose](), /it was told to fail/);
  const other = await disks.mount({ path: '/a.vhd', readOnly: true });
  assert.equal(other.lun, 2);
  refused.call = 'host Remove /0/Attachments/1';
  await assert.rejects(async () => disk[Symbol.asyncDispose](), /it was told to fail/);
  refused.call = '';
  await disk[Symbol.asyncDispose]();
  await disk[Symbol.asyncDispose]();
  assert.deepEqual(
    calls.filter((call) => call.includes('Remove')),
    [
      'guest Remove MappedVirtualDisk 1',
      'guest Remove MappedVirtualDisk 1',
      'guest Remove SCSIDevice 1',
      'host Remove /0/Attachments/1',
      'host Remove /0/Attachments/1',
    ],
  );
  assert.equal((await disks.mount({ path: '/b.vhd', readOnly: true })).lun, 1);
});

test('who gives up a disk that is being mounted takes it from nobody else', async () => {
  const { disks, calls } = stage();
  const patience = new AbortController();
  const first = disks.mount({ path: '/a.vhd', readOnly: true }, { signal: patience.signal });
  const second = disks.mount({ path: '/a.vhd', readOnly: true });
  patience.abort(new Error('no longer'));
  await assert.rejects(first, /no longer/);
  const disk = await second;
  assert.equal(calls.length, 2);
  await disk[Symbol.asyncDispose]();
  assert.equal(calls.length, 5);
});

test('a disk that everybody gave up while it was being mounted is taken off again', async () => {
  const { disks, calls } = stage();
  const signal = AbortSignal.abort(new Error('no longer'));
  const given = [1, 2].map(() => disks.mount({ path: '/a.vhd', readOnly: true }, { signal }));
  for (const mount of given) await assert.rejects(mount, /no longer/);
  assert.equal(calls.at(-1), 'host Remove /0/Attachments/1');
  assert.equal((await disks.mount({ path: '/b.vhd', readOnly: true })).lun, 1);
});
