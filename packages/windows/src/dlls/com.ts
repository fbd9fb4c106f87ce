import type { Dll } from '../procedure.ts';

/**
 * The memory of COM, in which older services hand out strings.
 */
export const com = {
  file: 'api-ms-win-core-com-l1-1-0.dll',
  build: 9200,
  source: "Microsoft's combaseapi.h",
  procedures: {
    CoTaskMemFree: {
      returns: 'void',
      parameters: { memory: 'ADDRESS?' },
      immediate: true,
      purpose: 'Free what a DLL has allocated',
    },
  },
} as const satisfies Dll;
