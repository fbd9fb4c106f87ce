import { bind, type Dll, type Handle } from '@hcsshim/windows';

const processHandles = {
  file: 'kernel32.dll',
  build: 0,
  source: 'processthreadsapi.h',
  procedures: {
    GetProcessHandleCount: {
      returns: 'BOOL',
      parameters: { process: 'HANDLE', count: 'out DWORD' },
      immediate: true,
      purpose: 'Handles that are open',
    },
  },
} as const satisfies Dll;

/** Handles that this process has open. */
export function openHandles(): number {
  const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;
  return bind(processHandles).GetProcessHandleCount({ process: currentProcess }).count;
}
