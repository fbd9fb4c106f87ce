import type { Dll } from '../procedure.ts';

/**
 * Registry hives as files.
 */
export const offreg = {
  file: 'offreg.dll',
  build: 7600,
  source: "Microsoft's offreg.h",
  procedures: {
    ORCreateHive: {
      returns: 'WIN32_ERROR',
      parameters: { hive: 'out ORHKEY' },
      purpose: 'Make an empty hive',
    },
    OROpenHive: {
      returns: 'WIN32_ERROR',
      parameters: { path: 'PCWSTR', hive: 'out ORHKEY' },
      purpose: 'Open a hive',
    },
    ORCloseHive: {
      returns: 'WIN32_ERROR',
      parameters: { hive: 'ORHKEY' },
      purpose: 'Close it',
    },
    ORSaveHive: {
      returns: 'WIN32_ERROR',
      parameters: { hive: 'ORHKEY', path: 'PCWSTR', osMajorVersion: 'DWORD', osMinorVersion: 'DWORD' },
      purpose: 'Write it',
    },
    ORMergeHives: {
      returns: 'WIN32_ERROR',
      parameters: { hives: 'memory ORHKEY', count: 'DWORD', result: 'out ORHKEY' },
      build: 17763,
      purpose: 'Lay hives of layers over each other',
    },
    ORCreateKey: {
      returns: 'WIN32_ERROR',
      parameters: {
        key: 'ORHKEY',
        subKey: 'PCWSTR',
        class: 'PCWSTR?',
        options: 'DWORD',
        securityDescriptor: 'memory SECURITY_DESCRIPTOR',
        result: 'out ORHKEY',
        disposition: 'out DWORD',
      },
      purpose: 'Create a key',
    },
    OROpenKey: {
      returns: 'WIN32_ERROR',
      parameters: { key: 'ORHKEY', subKey: 'PCWSTR?', result: 'out ORHKEY' },
      purpose: 'Open a key',
    },
    ORCloseKey: {
      returns: 'WIN32_ERROR',
      parameters: { key: 'ORHKEY' },
      purpose: 'Close it',
    },
    ORDeleteKey: {
      returns: 'WIN32_ERROR',
      parameters: { key: 'ORHKEY', subKey: 'PCWSTR?' },
      purpose: 'Delete a key',
    },
    ORGetValue: {
      returns: 'WIN32_ERROR',
      parameters: {
        key: 'ORHKEY',
        subKey: 'PCWSTR?',
        value: 'PCWSTR?',
        type: 'out DWORD',
        data: 'memory void',
        length: 'inout DWORD',
      },
      purpose: 'Read a value',
    },
    ORSetValue: {
      returns: 'WIN32_ERROR',
      parameters: { key: 'ORHKEY', value: 'PCWSTR?', type: 'DWORD', data: 'memory void', length: 'DWORD' },
      purpose: 'Write a value',
    },
  },
} as const satisfies Dll;
