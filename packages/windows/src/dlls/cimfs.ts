import type { Dll } from '../procedure.ts';

/**
 * Composite image file systems, which hold layers of Windows containers.
 */
export const cimfs = {
  file: 'cimfs.dll',
  build: 19041,
  source: "Microsoft's cimfs.h",
  procedures: {
    CimMountImage: {
      returns: 'HRESULT',
      parameters: { imagePath: 'PCWSTR', fileSystemName: 'PCWSTR', flags: 'DWORD', volumeId: 'GUID' },
      purpose: 'Mount an image as a volume',
    },
    CimDismountImage: {
      returns: 'HRESULT',
      parameters: { volumeId: 'GUID' },
      purpose: 'Dismount it',
    },
    CimCreateImage: {
      returns: 'HRESULT',
      parameters: {
        imagePath: 'PCWSTR',
        oldFileSystemName: 'PCWSTR?',
        newFileSystemName: 'PCWSTR?',
        image: 'out CIMFS_IMAGE_HANDLE',
      },
      purpose: 'Create an image, or fork one',
    },
    CimCloseImage: {
      returns: 'void',
      parameters: { image: 'CIMFS_IMAGE_HANDLE' },
      purpose: 'Close it',
    },
    CimCommitImage: {
      returns: 'HRESULT',
      parameters: { image: 'CIMFS_IMAGE_HANDLE' },
      purpose: 'Write it',
    },
    CimCreateFile: {
      returns: 'HRESULT',
      parameters: {
        image: 'CIMFS_IMAGE_HANDLE',
        path: 'PCWSTR',
        metadata: 'memory CIMFS_FILE_METADATA',
        stream: 'out CIMFS_STREAM_HANDLE',
      },
      purpose: 'Add a file or directory',
    },
    CimCreateAlternateStream: {
      returns: 'HRESULT',
      parameters: {
        image: 'CIMFS_IMAGE_HANDLE',
        path: 'PCWSTR',
        size: 'UINT64',
        stream: 'out CIMFS_STREAM_HANDLE',
      },
      purpose: 'Add an alternate data stream',
    },
    CimCreateHardLink: {
      returns: 'HRESULT',
      parameters: { image: 'CIMFS_IMAGE_HANDLE', newPath: 'PCWSTR', oldPath: 'PCWSTR' },
      purpose: 'Add a hard link',
    },
    CimWriteStream: {
      returns: 'HRESULT',
      parameters: { stream: 'CIMFS_STREAM_HANDLE', buffer: 'memory void', length: 'DWORD' },
      purpose: 'Write data of a file',
    },
    CimCloseStream: {
      returns: 'HRESULT',
      parameters: { stream: 'CIMFS_STREAM_HANDLE' },
      purpose: 'End the data of a file',
    },
    CimDeletePath: {
      returns: 'HRESULT',
      parameters: { image: 'CIMFS_IMAGE_HANDLE', path: 'PCWSTR' },
      purpose: 'Remove a file or directory',
    },
  },
} as const satisfies Dll;
