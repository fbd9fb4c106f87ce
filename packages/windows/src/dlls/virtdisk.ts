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
  },
} as const satisfies Dll;
