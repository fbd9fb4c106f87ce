import { stat } from 'node:fs/promises';
import { bind } from './bind.ts';
import { advapi32 } from './dlls/advapi32.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { koffi } from './koffi.ts';
import { struct } from './struct.ts';
import { attemptAsync } from './windows-error.ts';

/** Rights to a file or directory: `GENERIC_*` (winnt.h). */
export const genericRights = {
  read: 0x80000000,
  write: 0x40000000,
  execute: 0x20000000,
  all: 0x10000000,
} as const;

export type GenericRight = keyof typeof genericRights;

/** S-1-5-83-0, the group `NT VIRTUAL MACHINE\Virtual Machines`, which all VMs of Hyper-V are in. */
const virtualMachinesSid = Buffer.from('01020000000000055300000000000000', 'hex');

/** `EXPLICIT_ACCESS_W` with its `TRUSTEE_W` (accctrl.h). */
export const explicitAccess = struct({
  permissions: 'DWORD',
  mode: 'INT',
  inheritance: 'DWORD',
  multipleTrustee: 'POINTER',
  multipleTrusteeOperation: 'INT',
  trusteeForm: 'INT',
  trusteeType: 'INT',
  name: 'POINTER',
});

const grantAccess = 1;
const trusteeIsSid = 0;
const trusteeIsWellKnownGroup = 5;
/** `SUB_CONTAINERS_AND_OBJECTS_INHERIT`: files and directories below have the rights too. */
const inheritBelow = 3;

const readControlAndWriteDac = 0x20000 | 0x40000;
const shareReadAndWrite = 1 | 2;
const openExisting = 3;
/** Without it no directory is opened; to files it makes no difference. */
const backupSemantics = 0x02000000;
const fileObject = 1;
const daclInformation = 4;

/**
 * Lets all virtual machines of the host use a file, or a directory and what is below it. The rights that others have stay.
 * Rejects with a WindowsError, and with a TypeError when no right is named.
 */
export async function grantVmGroupAccess(
  path: string,
  rights: readonly GenericRight[] = ['read'],
  signal?: AbortSignal,
): Promise<void> {
  if (rights.length === 0) {
    throw new TypeError(`Cannot grant the VM group access to "${path}": no right is named`);
  }
  signal?.throwIfAborted();
  const permissions = rights.reduce((mask, right) => (mask | genericRights[right]) >>> 0, 0);
  await attemptAsync(`grant the VM group access to "${path}"`, async () => {
    const { CreateFileW, CloseHandle, LocalFree } = bind(kernel32);
    const { GetSecurityInfo, SetEntriesInAclW, SetSecurityInfo } = bind(advapi32);
    using stack = new DisposableStack();
    const handle = await CreateFileW({
      fileName: path,
      desiredAccess: readControlAndWriteDac,
      shareMode: shareReadAndWrite,
      attributes: null,
      creationDisposition: openExisting,
      flagsAndAttributes: backupSemantics,
    });
    stack.defer(() => CloseHandle({ object: handle }));
    const isDirectory = (await stat(path)).isDirectory();
    const file = { handle, objectType: fileObject, securityInfo: daclInformation };
    const { dacl, securityDescriptor } = await GetSecurityInfo(file);
    stack.defer(() => LocalFree({ memory: securityDescriptor }));
    const { newAcl } = await SetEntriesInAclW({
      count: 1,
      entries: vmGroupEntry(permissions, isDirectory),
      oldAcl: dacl,
    });
    stack.defer(() => LocalFree({ memory: newAcl }));
    await SetSecurityInfo({ ...file, dacl: newAcl });
  });
}

/** One entry for `SetEntriesInAclW`, with the SID behind it that it points at. */
export function vmGroupEntry(permissions: number, isDirectory: boolean): Buffer {
  const memory = Buffer.alloc(explicitAccess.size + virtualMachinesSid.length);
  virtualMachinesSid.copy(memory, explicitAccess.size);
  explicitAccess
    .encode({
      permissions,
      mode: grantAccess,
      inheritance: isDirectory ? inheritBelow : 0,
      trusteeForm: trusteeIsSid,
      trusteeType: trusteeIsWellKnownGroup,
      name: koffi().address(memory) + BigInt(explicitAccess.size),
    })
    .copy(memory);
  return memory;
}
