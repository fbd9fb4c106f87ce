/** Wine reads and builds lists of rights, but keeps only what fits a mode of Linux: what is handed to it is looked at. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { grantVmGroupAccess } from '@hcsshim/storage/windows';
import { advapi32, bind, readMemory } from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

interface Entry {
  type: number;
  flags: number;
  mask: number;
  sid: string;
}

/** The entries of an `ACL`: its head has 8 bytes, and each entry type, flags, size, rights and SID. */
function readEntries(address: bigint): Entry[] {
  const head = readMemory(address, 8);
  const acl = readMemory(address, head.readUInt16LE(2));
  const entries: Entry[] = [];
  for (let at = 8; entries.length < head.readUInt16LE(4); at += acl.readUInt16LE(at + 2)) {
    entries.push({
      type: acl[at]!,
      flags: acl[at + 1]!,
      mask: acl.readUInt32LE(at + 4),
      sid: acl.toString('hex', at + 8, at + acl.readUInt16LE(at + 2)),
    });
  }
  return entries;
}

const vmGroup = '01020000000000055300000000000000';

/** Has the lists seen that are set meanwhile; they are set all the same. */
async function listsSet(work: () => Promise<void>): Promise<Entry[][]> {
  const functions = bind(advapi32);
  const { SetSecurityInfo } = functions;
  const lists: Entry[][] = [];
  const value: typeof SetSecurityInfo = (inputs) => {
    assert.equal(inputs.securityInfo, 4);
    lists.push(readEntries(inputs.dacl as bigint));
    return SetSecurityInfo(inputs);
  };
  Object.defineProperty(functions, 'SetSecurityInfo', { value, configurable: true });
  try {
    await work();
  } finally {
    Object.defineProperty(functions, 'SetSecurityInfo', { value: SetSecurityInfo, configurable: true });
  }
  return lists;
}

describe('access for the VM group', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vm-group-'));
  });
  after(() => rm(directory, { recursive: true }));

  test('to a file is added to the rights that others have', async () => {
    const file = join(directory, 'disk.vhdx');
    await writeFile(file, '');
    const [list] = await listsSet(() => grantVmGroupAccess(file));
    const granted = list?.filter(({ sid }) => sid === vmGroup);
    assert.deepEqual(granted, [{ type: 0, flags: 0, mask: 0x80000000, sid: vmGroup }]);
    assert.ok(list && list.length > 1, 'the owner has rights still');
  });

  test('to a directory is inherited, with the rights that are asked for', async () => {
    const [list] = await listsSet(() =>
      grantVmGroupAccess(directory, { rights: ['read', 'write', 'execute', 'all'] }),
    );
    const granted = list?.filter(({ sid }) => sid === vmGroup);
    assert.deepEqual(granted, [{ type: 0, flags: 3, mask: 0xf0000000, sid: vmGroup }]);
  });

  test('to what does not exist is refused in words, and no handle stays open', async () => {
    const missing = join(directory, 'missing');
    const refused = () =>
      assert.rejects(grantVmGroupAccess(missing), (error) => isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
    await refused();
    await grantVmGroupAccess(directory);
    const handles = openHandles();
    await refused();
    await grantVmGroupAccess(directory);
    assert.equal(openHandles(), handles);
  });
});
