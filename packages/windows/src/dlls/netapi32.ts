import type { Dll } from '../procedure.ts';

/**
 * Local users and groups.
 */
export const netapi32 = {
  file: 'netapi32.dll',
  build: 7600,
  source: "Microsoft's lmaccess.h",
  procedures: {
    NetUserAdd: {
      returns: 'WIN32_ERROR',
      parameters: {
        serverName: 'PCWSTR?',
        level: 'DWORD',
        buffer: 'memory USER_INFO_1',
        parameterError: 'out DWORD',
      },
      purpose: 'Add the user whom a job container runs as',
    },
    NetUserDel: {
      returns: 'WIN32_ERROR',
      parameters: { serverName: 'PCWSTR?', userName: 'PCWSTR' },
      purpose: 'Remove it',
    },
    NetLocalGroupGetInfo: {
      returns: 'WIN32_ERROR',
      parameters: { serverName: 'PCWSTR?', groupName: 'PCWSTR', level: 'DWORD', buffer: 'out ADDRESS' },
      purpose: 'Whether a group exists',
    },
    NetLocalGroupAddMembers: {
      returns: 'WIN32_ERROR',
      parameters: {
        serverName: 'PCWSTR?',
        groupName: 'PCWSTR',
        level: 'DWORD',
        buffer: 'memory LOCALGROUP_MEMBERS_INFO_0',
        totalEntries: 'DWORD',
      },
      purpose: 'Put a user into a group',
    },
    NetApiBufferFree: {
      returns: 'WIN32_ERROR',
      parameters: { buffer: 'ADDRESS' },
      purpose: 'Free what NetLocalGroupGetInfo has given',
    },
  },
} as const satisfies Dll;
