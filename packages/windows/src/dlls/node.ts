import type { Dll } from '../procedure.ts';

/** The running program itself: what Node exports of libuv. Loaded by the program's own path, whatever its name is. */
export const node = {
  file: 'node.exe',
  build: 7600,
  source: "libuv's uv.h",
  procedures: {
    uv_open_osfhandle: {
      returns: 'INT',
      parameters: { handle: 'HANDLE' },
      immediate: true,
      purpose: 'A descriptor of Node for a handle, or -1',
    },
  },
} as const satisfies Dll;
