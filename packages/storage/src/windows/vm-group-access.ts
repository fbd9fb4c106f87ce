import { stat } from 'node:fs/promises';
import { advapi32, bind, type Handle, kernel32, setPointer } from '@hcsshim/windows';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';
import { openNative } from './native-file.ts';

/** `GENERIC_*` (winnt.h). */
const genericRights = { read: 0x80000000, write: 0x40000000, execute: 0x20000000, all: 0x10000000 } as const;

export type GenericRight = keyof typeof genericRights;

/** "NT VIRTUAL MACHINE\Virtual Machines", S-1-5-83-0: the group that every virtual machine is in. */
const vmGroup = Buffer.from([1, 2, 0, 0, 0, 0, 0, 5, 83, 0, 0, 0, 0, 0, 0, 0]);

/** `READ_CONTROL | WRITE_DAC`. */
const accessToRights = 0x20000 | 0x40000;
/** `SE_FILE_OBJECT` and `DACL_SECURITY_INFORMATION` (accctrl.h, winnt.h). */
const fileObject = { objectType: 1, securityInfo: 4 };

export interface VmGroupAccessOptions extends LayerCallOptions {
  /** @default ['read'] */
  rights?: readonly GenericRight[];
}

/**
 * Lets every virtual machine use a file, or a directory with all below it: adds the rights to those that are there. Unlike
 * `HcsGrantVmGroupAccess` on every build of Windows. Source: hcsshim's internal/security.
 */
export async function grantVmGroupAccess(
  path: string,
  { rights = ['read'], ...options }: VmGroupAccessOptions = {},
): Promise<void> {
  return layerCall(`let virtual machines use "${path}"`, options, async () => {
    const inherits = (await stat(absolutePath(path, 'file'))).isDirectory();
    await using file = await openNative(path, accessToRights);
    await file.use((handle) => addRights(handle, rights, inherits));
  });
}

async function addRights(
  handle: Handle<'HANDLE'>,
  rights: readonly GenericRight[],
  inherits: boolean,
): Promise<void> {
  const { GetSecurityInfo, SetEntriesInAclW, SetSecurityInfo } = bind(advapi32);
  using memory = new DisposableStack();
  const freed = (address: bigint): bigint => {
    memory.defer(() => bind(kernel32).LocalFree({ memory: address }));
    return address;
  };
  const { dacl, securityDescriptor } = await GetSecurityInfo({ handle, ...fileObject });
  freed(securityDescriptor);
  const mask = rights.reduce((sum, right) => (sum | genericRights[right]) >>> 0, 0);
  const entries = explicitAccess(mask, inherits);
  const { newAcl } = await SetEntriesInAclW({ count: 1, entries, oldAcl: dacl });
  await SetSecurityInfo({ handle, ...fileObject, dacl: freed(newAcl) });
}

/**
 * `EXPLICIT_ACCESS_W` (accctrl.h): rights, mode and inheritance at 0, 4 and 8; a `TRUSTEE_W` at 16, with the form of its name at
 * 28, its type at 32, and at 40 its name, which is a SID.
 */
function explicitAccess(mask: number, inherits: boolean): Buffer {
  const grantAccess = 1;
  const subContainersAndObjectsInherit = 3;
  const trusteeIsSid = 0;
  const trusteeIsWellKnownGroup = 5;
  const entry = Buffer.alloc(48);
  entry.writeUInt32LE(mask, 0);
  entry.writeInt32LE(grantAccess, 4);
  entry.writeUInt32LE(inherits ? subContainersAndObjectsInherit : 0, 8);
  entry.writeInt32LE(trusteeIsSid, 28);
  entry.writeInt32LE(trusteeIsWellKnownGroup, 32);
  setPointer(entry, 40, vmGroup);
  return entry;
}
