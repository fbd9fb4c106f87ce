import type { Dll } from '../procedure.ts';

/**
 * Native calls: files relative to a directory, object directories, processes.
 */
export const ntdll = {
  file: 'ntdll.dll',
  build: 7600,
  source: 'Microsoft\'s winternl.h and "Windows driver API reference"',
  procedures: {
    NtCreateFile: {
      returns: 'NTSTATUS',
      parameters: {
        file: 'out HANDLE',
        desiredAccess: 'DWORD',
        objectAttributes: 'memory OBJECT_ATTRIBUTES',
        ioStatusBlock: 'memory IO_STATUS_BLOCK',
        allocationSize: 'memory LARGE_INTEGER',
        fileAttributes: 'DWORD',
        shareAccess: 'DWORD',
        createDisposition: 'DWORD',
        createOptions: 'DWORD',
        extendedAttributes: 'memory void',
        extendedAttributesLength: 'DWORD',
      },
      purpose: 'Open a file below a directory, without following links',
    },
    NtSetInformationFile: {
      returns: 'NTSTATUS',
      parameters: {
        file: 'HANDLE',
        ioStatusBlock: 'memory IO_STATUS_BLOCK',
        information: 'memory void',
        length: 'DWORD',
        informationClass: 'INT',
      },
      purpose: 'Rename, link or delete by handle',
    },
    NtOpenDirectoryObject: {
      returns: 'NTSTATUS',
      parameters: {
        directory: 'out HANDLE',
        desiredAccess: 'DWORD',
        objectAttributes: 'memory OBJECT_ATTRIBUTES',
      },
      purpose: 'Open a directory of the object manager',
    },
    NtQueryDirectoryObject: {
      returns: 'NTSTATUS',
      parameters: {
        directory: 'HANDLE',
        buffer: 'memory OBJECT_DIRECTORY_INFORMATION',
        length: 'DWORD',
        returnSingleEntry: 'BOOLEAN',
        restartScan: 'BOOLEAN',
        context: 'inout DWORD',
        returnLength: 'out DWORD',
      },
      purpose: 'List it',
    },
    NtCreateJobObject: {
      returns: 'NTSTATUS',
      parameters: { job: 'out HANDLE', desiredAccess: 'DWORD', objectAttributes: 'memory OBJECT_ATTRIBUTES' },
      immediate: true,
      purpose: 'Create a job object by a native name',
    },
    NtOpenJobObject: {
      returns: 'NTSTATUS',
      parameters: { job: 'out HANDLE', desiredAccess: 'DWORD', objectAttributes: 'memory OBJECT_ATTRIBUTES' },
      immediate: true,
      purpose: 'Open a job object by a native name',
    },
    NtQueryInformationProcess: {
      returns: 'NTSTATUS',
      parameters: {
        process: 'HANDLE',
        informationClass: 'INT',
        information: 'memory void',
        length: 'DWORD',
        returnLength: 'out DWORD',
      },
      immediate: true,
      purpose: 'Memory of a process',
    },
    NtQuerySystemInformation: {
      returns: 'NTSTATUS',
      parameters: {
        informationClass: 'INT',
        information: 'memory void',
        length: 'DWORD',
        returnLength: 'out DWORD',
      },
      purpose: 'Memory of all processes',
    },
    RtlNtStatusToDosError: {
      returns: 'DWORD',
      parameters: { status: 'DWORD' },
      immediate: true,
      purpose: 'The Win32 code of an NTSTATUS',
    },
  },
} as const satisfies Dll;
