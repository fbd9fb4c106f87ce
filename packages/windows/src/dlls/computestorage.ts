import type { Dll } from '../procedure.ts';

/**
 * Container layers: import, export, the filters that make one file system of many.
 */
export const computestorage = {
  file: 'computestorage.dll',
  build: 17763,
  source: 'Microsoft\'s "HCS API reference"; for the overlay filter hcsshim\'s computestorage',
  procedures: {
    HcsImportLayer: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR', sourceFolderPath: 'PCWSTR', layerData: 'PCWSTR' },
      purpose: 'Make a layer of a folder',
    },
    HcsExportLayer: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR', exportFolderPath: 'PCWSTR', layerData: 'PCWSTR', options: 'PCWSTR' },
      purpose: 'Write a layer to a folder',
    },
    HcsDestroyLayer: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR' },
      purpose: 'Remove a layer',
    },
    HcsSetupBaseOSLayer: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR', vhdHandle: 'HANDLE?', options: 'PCWSTR' },
      purpose: "Set a base layer's disk up",
    },
    HcsSetupBaseOSVolume: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR', volumePath: 'PCWSTR', options: 'PCWSTR' },
      build: 19645,
      purpose: "Set a base layer's volume up",
    },
    HcsInitializeWritableLayer: {
      returns: 'HRESULT',
      parameters: { writableLayerPath: 'PCWSTR', layerData: 'PCWSTR', options: 'PCWSTR?' },
      purpose: 'Make a writable layer ready',
    },
    HcsFormatWritableLayerVhd: {
      returns: 'HRESULT',
      parameters: { vhdHandle: 'HANDLE' },
      purpose: "Format a writable layer's disk with NTFS",
    },
    HcsGetLayerVhdMountPath: {
      returns: 'HRESULT',
      parameters: { vhdHandle: 'HANDLE', mountPath: 'out LocalString' },
      purpose: "Path of a layer disk's volume",
    },
    HcsAttachLayerStorageFilter: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR', layerData: 'PCWSTR' },
      purpose: 'Put the storage filter over a writable layer',
    },
    HcsDetachLayerStorageFilter: {
      returns: 'HRESULT',
      parameters: { layerPath: 'PCWSTR' },
      purpose: 'Take the filter off',
    },
    HcsAttachOverlayFilter: {
      returns: 'HRESULT',
      parameters: { volumePath: 'PCWSTR', layerData: 'PCWSTR' },
      build: 20348,
      purpose: 'Put UnionFS or WCIFS over a volume',
    },
    HcsDetachOverlayFilter: {
      returns: 'HRESULT',
      parameters: { volumePath: 'PCWSTR', layerData: 'PCWSTR' },
      build: 20348,
      purpose: 'Take the filter off',
    },
  },
} as const satisfies Dll;
