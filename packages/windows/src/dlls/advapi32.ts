import type { Dll } from '../procedure.ts';

/**
 * Access rights, privileges, logons, registry keys.
 */
export const advapi32 = {
  file: 'advapi32.dll',
  build: 7600,
  source: "Microsoft's aclapi.h, securitybaseapi.h, winbase.h, winreg.h",
  procedures: {
    GetSecurityInfo: {
      returns: 'WIN32_ERROR',
      parameters: {
        handle: 'HANDLE',
        objectType: 'INT',
        securityInfo: 'DWORD',
        owner: 'out ADDRESS',
        group: 'out ADDRESS',
        dacl: 'out ADDRESS',
        sacl: 'out ADDRESS',
        securityDescriptor: 'out ADDRESS',
      },
      purpose: 'Access rights of an open file; free the descriptor with LocalFree',
    },
    ConvertStringSecurityDescriptorToSecurityDescriptorW: {
      returns: 'BOOL',
      parameters: { text: 'PCWSTR', revision: 'DWORD', descriptor: 'out ADDRESS', size: 'memory ULONG' },
      immediate: true,
      purpose: 'Who may open a pipe, from SDDL; free the descriptor with LocalFree',
    },
    SetSecurityInfo: {
      returns: 'WIN32_ERROR',
      parameters: {
        handle: 'HANDLE',
        objectType: 'INT',
        securityInfo: 'DWORD',
        owner: 'ADDRESS?',
        group: 'ADDRESS?',
        dacl: 'ADDRESS?',
        sacl: 'ADDRESS?',
      },
      purpose: 'Set them',
    },
    SetEntriesInAclW: {
      returns: 'WIN32_ERROR',
      parameters: {
        count: 'DWORD',
        entries: 'memory EXPLICIT_ACCESS_W',
        oldAcl: 'ADDRESS?',
        newAcl: 'out ADDRESS',
      },
      purpose: 'Add entries to a list of rights; free the new one with LocalFree',
    },
    OpenProcessToken: {
      returns: 'BOOL',
      parameters: { process: 'HANDLE', desiredAccess: 'DWORD', token: 'out HANDLE' },
      immediate: true,
      purpose: 'The token that has the privileges of a process',
    },
    LookupPrivilegeValueW: {
      returns: 'BOOL',
      parameters: { system: 'PCWSTR?', name: 'PCWSTR', luid: 'out UINT64' },
      immediate: true,
      purpose: 'The number of a privilege',
    },
    AdjustTokenPrivileges: {
      returns: 'BOOL',
      parameters: {
        token: 'HANDLE',
        disableAll: 'BOOL',
        newState: 'memory TOKEN_PRIVILEGES',
        bufferLength: 'DWORD',
        previousState: 'memory TOKEN_PRIVILEGES',
        returnLength: 'out DWORD',
      },
      immediate: true,
      purpose: 'Enable or disable privileges; succeeds also where the token has none of them',
    },
    PrivilegeCheck: {
      returns: 'BOOL',
      parameters: { token: 'HANDLE', requiredPrivileges: 'memory PRIVILEGE_SET', result: 'out BOOL' },
      immediate: true,
      purpose: 'Whether they are enabled',
    },
    LogonUserW: {
      returns: 'BOOL',
      parameters: {
        userName: 'PCWSTR',
        domain: 'PCWSTR?',
        password: 'PCWSTR?',
        logonType: 'DWORD',
        logonProvider: 'DWORD',
        token: 'out HANDLE',
      },
      purpose: 'A token of the user whom a job container runs as',
    },
    CreateProcessAsUserW: {
      returns: 'BOOL',
      parameters: {
        token: 'HANDLE',
        applicationName: 'PCWSTR?',
        commandLine: 'memory WCHAR',
        processAttributes: 'memory SECURITY_ATTRIBUTES',
        threadAttributes: 'memory SECURITY_ATTRIBUTES',
        inheritHandles: 'BOOL',
        creationFlags: 'DWORD',
        environment: 'memory WCHAR',
        currentDirectory: 'PCWSTR?',
        startupInfo: 'memory STARTUPINFOEXW',
        processInformation: 'memory PROCESS_INFORMATION',
      },
      // As CreateProcessW.
      immediate: true,
      purpose: 'Start a process as the user of a token',
    },
    RegCreateKeyExW: {
      returns: 'WIN32_ERROR',
      parameters: {
        key: 'HKEY',
        subKey: 'PCWSTR',
        reserved: 'DWORD',
        class: 'PCWSTR?',
        options: 'DWORD',
        desiredAccess: 'DWORD',
        securityAttributes: 'memory SECURITY_ATTRIBUTES',
        result: 'out HKEY',
        disposition: 'out DWORD',
      },
      purpose: "The key that keeps the shim's state",
    },
    RegCloseKey: {
      returns: 'WIN32_ERROR',
      parameters: { key: 'HKEY' },
      purpose: 'Close it',
    },
  },
} as const satisfies Dll;
