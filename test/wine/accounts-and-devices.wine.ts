import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  advapi32,
  bind,
  cfgmgr32,
  type Handle,
  kernel32,
  netapi32,
  ntdll,
  OwnedHandle,
  readMemory,
  setPointer,
  wideString,
} from '@hcsshim/windows';
import { objectAttributes } from './native-structures.ts';

const root = mkdtempSync(join(tmpdir(), 'accounts-'));
after(() => rmSync(root, { recursive: true }));

const close = (object: Handle<'HANDLE'>) => bind(kernel32).CloseHandle({ object });

async function openWithRights(path: string): Promise<OwnedHandle<'HANDLE'>> {
  const { file } = await bind(ntdll).NtCreateFile({
    // SYNCHRONIZE, WRITE_DAC, READ_CONTROL
    desiredAccess: 0x160000,
    objectAttributes: objectAttributes(`\\??\\${path}`),
    ioStatusBlock: Buffer.alloc(16),
    allocationSize: null,
    fileAttributes: 0,
    shareAccess: 7,
    createDisposition: 1,
    createOptions: 0x20,
    extendedAttributes: null,
    extendedAttributesLength: 0,
  });
  return new OwnedHandle('HANDLE', file, close);
}

/** "Everyone", S-1-1-0. */
const everyone = Buffer.from([1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);

/** `EXPLICIT_ACCESS_W` that gives everyone the right to read. */
function readForEveryone(): Buffer {
  const entry = Buffer.alloc(48);
  entry.writeUInt32LE(0x120089, 0);
  entry.writeInt32LE(1, 4);
  entry.writeInt32LE(5, 32);
  setPointer(entry, 40, everyone);
  return entry;
}

/** The entries of an ACL: mask and SID of each that allows. */
function readAcl(address: bigint): { mask: number; sid: Buffer }[] {
  const header = readMemory(address, 8);
  const acl = readMemory(address, header.readUInt16LE(2));
  const entries: { mask: number; sid: Buffer }[] = [];
  let offset = 8;
  for (let count = header.readUInt16LE(4); count > 0; count--) {
    const size = acl.readUInt16LE(offset + 2);
    entries.push({ mask: acl.readUInt32LE(offset + 4), sid: acl.subarray(offset + 8, offset + size) });
    offset += size;
  }
  return entries;
}

describe('advapi32.dll', () => {
  test('reads the rights to a file, adds one, and sets them', async () => {
    const path = join(root, 'rights');
    writeFileSync(path, '');
    const { GetSecurityInfo, SetEntriesInAclW, SetSecurityInfo } = bind(advapi32);
    await using file = await openWithRights(path);
    const { dacl, securityDescriptor } = await file.use((handle) =>
      GetSecurityInfo({ handle, objectType: 1, securityInfo: 7 }),
    );
    const before = readAcl(dacl);
    assert.ok(before.length > 0);
    const { newAcl } = await SetEntriesInAclW({ count: 1, entries: readForEveryone(), oldAcl: dacl });
    assert.ok(readAcl(newAcl).some(({ mask, sid }) => mask === 0x120089 && sid.equals(everyone)));
    await file.use((handle) => SetSecurityInfo({ handle, objectType: 1, securityInfo: 4, dacl: newAcl }));
    const { LocalFree } = bind(kernel32);
    for (const memory of [newAcl, securityDescriptor]) assert.equal(LocalFree({ memory }), 0n);
    const notAFile = { handle: 0x7ffffff0n as Handle<'HANDLE'>, objectType: 1, securityInfo: 4 };
    await assert.rejects(GetSecurityInfo(notAFile), { kind: 'WIN32_ERROR', status: 6 });
    await assert.rejects(SetSecurityInfo({ ...notAFile, dacl: null }), { kind: 'WIN32_ERROR' });
  });

  test('logs a user on: Wine 8 takes anybody, and gives a token that is none', async () => {
    const { token } = await bind(advapi32).LogonUserW({
      userName: 'nobody é',
      domain: '.',
      password: 'x',
      logonType: 2,
      logonProvider: 0,
    });
    assert.equal(token, 0xdeadbeefn);
  });

  test('makes a key of the registry, finds it again, and closes it', async () => {
    const { RegCreateKeyExW, RegCloseKey } = bind(advapi32);
    const currentUser = 0xffffffff80000001n as Handle<'HKEY'>;
    const wanted = {
      key: currentUser,
      subKey: `Software\\hcsshim-${process.pid}`,
      reserved: 0,
      // Volatile: gone with Wine's server.
      options: 1,
      desiredAccess: 0xf003f,
      securityAttributes: null,
    };
    const made = await RegCreateKeyExW(wanted);
    const found = await RegCreateKeyExW(wanted);
    assert.deepEqual([made.disposition, found.disposition], [1, 2]);
    for (const { result } of [made, found]) await RegCloseKey({ key: result });
    await assert.rejects(RegCloseKey({ key: made.result }), { status: 6 });
  });
});

describe('netapi32.dll', () => {
  test('adds a user and removes it', async () => {
    const { NetUserAdd, NetUserDel } = bind(netapi32);
    const user = Buffer.alloc(56);
    setPointer(user, 0, wideString('hcsshim-user'));
    setPointer(user, 8, wideString('password'));
    // USER_PRIV_USER, UF_SCRIPT
    user.writeUInt32LE(1, 20);
    user.writeUInt32LE(1, 40);
    assert.deepEqual(await NetUserAdd({ level: 1, buffer: user }), { parameterError: 0 });
    await NetUserDel({ userName: 'hcsshim-user' });
    // NERR_UserNotFound
    await assert.rejects(NetUserDel({ userName: 'hcsshim-user' }), { kind: 'WIN32_ERROR', status: 2221 });
    // ERROR_INVALID_LEVEL
    await assert.rejects(NetUserAdd({ level: 9, buffer: user }), { status: 124 });
  });

  test('tells of a group, any of which Wine 8 has, and takes members that it forgets', async () => {
    const { NetLocalGroupGetInfo, NetLocalGroupAddMembers, NetApiBufferFree } = bind(netapi32);
    const { buffer } = await NetLocalGroupGetInfo({ groupName: 'Administrators', level: 1 });
    const name = readMemory(readMemory(buffer, 8).readBigUInt64LE(), 30);
    assert.equal(name.toString('utf16le'), 'Administrators\0');
    await NetApiBufferFree({ buffer });
    const member = Buffer.alloc(8);
    setPointer(member, 0, everyone);
    const added = await NetLocalGroupAddMembers({
      groupName: 'Administrators',
      level: 0,
      buffer: member,
      totalEntries: 1,
    });
    assert.equal(added, undefined);
  });
});

describe('cfgmgr32.dll', () => {
  test('lists devices, of which Wine 8 tells none', async () => {
    const { CM_Get_Device_ID_List_SizeA, CM_Get_Device_ID_ListA } = bind(cfgmgr32);
    assert.deepEqual(await CM_Get_Device_ID_List_SizeA({ filter: 'ROOT', flags: 1 }), { length: 0 });
    const buffer = Buffer.alloc(4, 0xee);
    await CM_Get_Device_ID_ListA({ filter: null, buffer, length: 4, flags: 0 });
    assert.equal(buffer[0], 0);
  });

  test('finds no device, and no property of one, each with its code', async () => {
    const { CM_Locate_DevNodeW, CM_Get_DevNode_PropertyW } = bind(cfgmgr32);
    // CR_FAILURE
    await assert.rejects(CM_Locate_DevNodeW({ deviceId: 'NO\\SUCH\\DEVICE', flags: 0 }), {
      kind: 'CONFIGRET',
      status: 0x13,
      hresult: 0x80004005,
    });
    // CR_NO_SUCH_DEVNODE
    const propertyKey = Buffer.alloc(20);
    await assert.rejects(
      CM_Get_DevNode_PropertyW({ node: 1, propertyKey, buffer: null, bufferSize: 0, flags: 0 }),
      { kind: 'CONFIGRET', status: 0xd },
    );
  });
});
