import { bind } from './bind.ts';
import { DllCallError } from './dll-call-error.ts';
import { cfgmgr32 } from './dlls/cfgmgr32.ts';
import { guidFromBytes, guidToBytes } from './guid.ts';
import { attemptAsync } from './windows-error.ts';

/** A property of a device: the GUID of its group, and its number there (`DEVPROPKEY`, devpkey.h). */
export interface DevicePropertyKey {
  group: string;
  id: number;
}

/** `DEVPKEY_Device_*` (devpkey.h). */
export const devicePropertyKeys = {
  description: { group: 'a45c254e-df1c-4efd-8020-67d146a850e0', id: 2 },
  hardwareIds: { group: 'a45c254e-df1c-4efd-8020-67d146a850e0', id: 3 },
  classGuid: { group: 'a45c254e-df1c-4efd-8020-67d146a850e0', id: 10 },
  locationPaths: { group: 'a45c254e-df1c-4efd-8020-67d146a850e0', id: 37 },
  instanceId: { group: '78c34fc8-104a-4aca-9ea4-524d52996e57', id: 256 },
} as const satisfies Record<string, DevicePropertyKey>;

/** A property's value; bytes where its type is none of these. */
export type DeviceProperty = string | string[] | number | boolean | Buffer;

/** `CM_GETIDLIST_FILTER_BUSRELATIONS` (cfgmgr32.h): the children of one device. */
const busRelations = 0x20;
/** CR_BUFFER_SMALL */
const bufferSmall = 0x1a;
const firstBufferSize = 4096;
const maxBufferSize = 1 << 20;

/** `DEVPROP_TYPE_*` (devpropdef.h). */
const readers = new Map<number, (bytes: Buffer) => DeviceProperty>([
  [0x07, (bytes) => bytes.readUInt32LE()],
  [0x0d, (bytes) => guidFromBytes(bytes)],
  [0x11, (bytes) => bytes.readInt8() !== 0],
  [0x12, (bytes) => splitStrings(bytes.toString('utf16le'))[0] ?? ''],
  [0x2012, (bytes) => splitStrings(bytes.toString('utf16le'))],
]);

/**
 * Instance ids of the devices on the bus of each of these, as `PCI\VEN_…`, in the order of the parents. Rejects with a
 * WindowsError for a device that does not exist.
 */
export async function listChildDevices(
  parentIds: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const children: string[] = [];
  for (const parentId of parentIds) {
    signal?.throwIfAborted();
    children.push(...(await childrenOf(parentId)));
  }
  return children;
}

function childrenOf(parentId: string): Promise<string[]> {
  return attemptAsync(`list the children of device "${parentId}"`, async () => {
    const { CM_Get_Device_ID_List_SizeA, CM_Get_Device_ID_ListA } = bind(cfgmgr32);
    const asked = { filter: parentId, flags: busRelations };
    const { length } = await CM_Get_Device_ID_List_SizeA(asked);
    if (length > maxBufferSize) {
      throw new RangeError(
        `Cannot list the children of device "${parentId}": the list has ${length} bytes, more than ${maxBufferSize}`,
      );
    }
    if (length === 0) return [];
    const buffer = Buffer.alloc(length);
    await CM_Get_Device_ID_ListA({ ...asked, buffer, length });
    return splitStrings(buffer.toString('latin1'));
  });
}

/** A property of a device, by its instance id. Rejects with a WindowsError when there is no such device or property. */
export function readDeviceProperty(deviceId: string, key: DevicePropertyKey): Promise<DeviceProperty> {
  return attemptAsync(`read property ${key.id} of device "${deviceId}"`, async () => {
    const { CM_Locate_DevNodeW, CM_Get_DevNode_PropertyW } = bind(cfgmgr32);
    const { node } = await CM_Locate_DevNodeW({ deviceId, flags: 0 });
    const propertyKey = Buffer.alloc(20);
    guidToBytes(key.group).copy(propertyKey);
    propertyKey.writeUInt32LE(key.id, 16);
    for (let size = firstBufferSize; ; size *= 4) {
      const buffer = Buffer.alloc(size);
      try {
        const asked = { node, propertyKey, buffer, bufferSize: size, flags: 0 };
        const { propertyType, bufferSize } = await CM_Get_DevNode_PropertyW(asked);
        const bytes = buffer.subarray(0, bufferSize);
        return readers.get(propertyType)?.(bytes) ?? bytes;
      } catch (error) {
        if (!(error instanceof DllCallError) || error.status !== bufferSmall || size >= maxBufferSize)
          throw error;
      }
    }
  });
}

/** The first location path of a device, `PCIROOT(0)#PCI(0100)…`, by which a VM is given it. */
export async function deviceLocationPath(deviceId: string): Promise<string> {
  const paths = await readDeviceProperty(deviceId, devicePropertyKeys.locationPaths);
  const [path] = Array.isArray(paths) ? paths : [];
  if (path !== undefined) return path;
  throw new Error(`Cannot read the location path of device "${deviceId}": Windows gave no list of strings`);
}

/** Strings one after the other, each ended by a NUL, and all by another. */
function splitStrings(text: string): string[] {
  const end = text.startsWith('\0') ? 0 : text.indexOf('\0\0');
  const strings = end < 0 ? text.replace(/\0$/, '') : text.slice(0, end);
  return strings === '' ? [] : strings.split('\0');
}
