import type { Dll } from '../procedure.ts';

/**
 * The tree of devices.
 */
export const cfgmgr32 = {
  file: 'cfgmgr32.dll',
  build: 7600,
  source: "Microsoft's cfgmgr32.h",
  procedures: {
    CM_Get_Device_ID_List_SizeA: {
      returns: 'CONFIGRET',
      parameters: { length: 'out DWORD', filter: 'PCSTR?', flags: 'DWORD' },
      purpose: 'Room that a list of devices needs, in bytes',
    },
    CM_Get_Device_ID_ListA: {
      returns: 'CONFIGRET',
      parameters: { filter: 'PCSTR?', buffer: 'memory CHAR', length: 'DWORD', flags: 'DWORD' },
      purpose: 'List devices',
    },
    CM_Locate_DevNodeW: {
      returns: 'CONFIGRET',
      parameters: { node: 'out DWORD', deviceId: 'PCWSTR?', flags: 'DWORD' },
      purpose: 'Find a device',
    },
    CM_Get_DevNode_PropertyW: {
      returns: 'CONFIGRET',
      parameters: {
        node: 'DWORD',
        propertyKey: 'memory DEVPROPKEY',
        propertyType: 'out DWORD',
        buffer: 'memory void',
        bufferSize: 'inout DWORD',
        flags: 'DWORD',
      },
      purpose: 'A property of a device: its location path',
    },
  },
} as const satisfies Dll;
