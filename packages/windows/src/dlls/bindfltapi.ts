import type { Dll } from '../procedure.ts';

/**
 * The bind filter: one path shown as another.
 */
export const bindfltapi = {
  file: 'bindfltapi.dll',
  build: 20348,
  source: "hcsshim's internal/winapi",
  procedures: {
    BfSetupFilter: {
      returns: 'HRESULT',
      parameters: {
        job: 'HANDLE?',
        flags: 'DWORD',
        virtualizationRootPath: 'PCWSTR',
        virtualizationTargetPath: 'PCWSTR',
        exceptions: 'memory PCWSTR',
        exceptionCount: 'DWORD',
      },
      purpose: 'Show a path inside a job container',
    },
  },
} as const satisfies Dll;
