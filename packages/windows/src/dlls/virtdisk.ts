import type { Dll } from '../procedure.ts';

/**
 * Virtual disks.
 */
export const virtdisk = {
  file: 'virtdisk.dll',
  build: 7600,
  source: "Microsoft's virtdisk.h",
  procedures: {
    OpenVirtualDisk: {
      returns: 'WIN32_ERROR',
      parameters: {
        storageType: 'memory VIRTUAL_STORAGE_TYPE',
        path: 'PCWSTR',
        accessMask: 'DWORD',
        flags: 'DWORD',
        parameters: 'memory OPEN_VIRTUAL_DISK_PARAMETERS',
        disk: 'out HANDLE',
      },
      purpose: 'Open a VHD or VHDX',
    },
    AttachVirtualDisk: {
      returns: 'WIN32_ERROR',
      parameters: {
        disk: 'HANDLE',
        securityDescriptor: 'memory SECURITY_DESCRIPTOR',
        flags: 'DWORD',
        providerFlags: 'DWORD',
        parameters: 'memory ATTACH_VIRTUAL_DISK_PARAMETERS',
        overlapped: 'memory OVERLAPPED',
      },
      purpose: 'Attach it as a disk of the host',
    },
    DetachVirtualDisk: {
      returns: 'WIN32_ERROR',
      parameters: { disk: 'HANDLE', flags: 'DWORD', providerFlags: 'DWORD' },
      purpose: 'Detach it',
    },
    CreateVirtualDisk: {
      returns: 'WIN32_ERROR',
      parameters: {
        storageType: 'memory VIRTUAL_STORAGE_TYPE',
        path: 'PCWSTR',
        accessMask: 'DWORD',
        securityDescriptor: 'memory SECURITY_DESCRIPTOR',
        flags: 'DWORD',
        providerFlags: 'DWORD',
        parameters: 'memory CREATE_VIRTUAL_DISK_PARAMETERS',
        overlapped: 'memory OVERLAPPED',
        disk: 'out HANDLE',
      },
      purpose: 'Create a VHD or VHDX, also as one that keeps the differences to another',
    },
  },
} as const satisfies Dll;
