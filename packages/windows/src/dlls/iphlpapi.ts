import type { Dll } from '../procedure.ts';

/**
 * Network compartments.
 */
export const iphlpapi = {
  file: 'iphlpapi.dll',
  build: 17763,
  source: "Microsoft's netioapi.h; for SetJobCompartmentId hcsshim's internal/winapi",
  procedures: {
    SetJobCompartmentId: {
      returns: 'WIN32_ERROR',
      parameters: { job: 'HANDLE', compartmentId: 'DWORD' },
      immediate: true,
      purpose: 'Put the processes of a job into a network namespace',
    },
    SetCurrentThreadCompartmentId: {
      returns: 'WIN32_ERROR',
      parameters: { compartmentId: 'DWORD' },
      immediate: true,
      purpose: 'Put the calling thread into one',
    },
  },
} as const satisfies Dll;
