import { directoryToExt4, Ext4Error, Ext4Writer } from '@hcsshim/ext4';
import { readXattrs } from '@hcsshim/linux';
import { HcsError, isHcsError } from '@hcsshim/schema';
import { type DiskTarget, makeDisk } from './disk-file.ts';

interface FileSystemOptions extends DiskTarget {
  /** At most 16 bytes. */
  label?: string;
  /** The time written into the file system itself, seconds from the Unix epoch. @default 0 */
  time?: number;
}

export interface DirectoryDiskOptions extends FileSystemOptions {
  /** The tree that becomes the file system's root. */
  directory: string;
}

export interface BlankDiskOptions extends FileSystemOptions {
  /** Bytes of the file system, a multiple of 4096. */
  size: number;
}

/** A file for so many bytes there can be, as mke2fs has it. */
const bytesPerInode = 16 * 1024;

/**
 * Makes a fixed VHD with ext4 of a directory tree: owners, modes, times to the nanosecond, hard links, devices, holes,
 * extended attributes and with them overlayfs's whiteouts and opaque directories. Without root, only what the
 * caller may read, and no `trusted.*` attributes. Throws ERROR_FILE_NOT_FOUND and E_FAIL.
 */
export async function createDirectoryDisk(options: DirectoryDiskOptions): Promise<void> {
  const { directory, output, label, uuid, time, signal } = options;
  try {
    await makeDisk({ output, ...(uuid ? { uuid } : {}), signal }, (image) =>
      directoryToExt4(directory, image, {
        ...(label === undefined ? {} : { label }),
        ...(uuid === undefined ? {} : { uuid }),
        ...(time === undefined ? {} : { time }),
        lostAndFound: false,
        indexDirectories: true,
        // Files of Windows have none that Linux would know.
        ...(process.platform === 'linux' ? { readXattrs } : {}),
        signal,
      }),
    );
  } catch (cause) {
    signal?.throwIfAborted();
    if (isHcsError(cause)) throw cause;
    const missing = cause instanceof Ext4Error && cause.code === 'FILE_NOT_FOUND';
    throw new HcsError({
      action: `Cannot make a disk of "${directory}"`,
      problem: missing ? 'there is no such directory' : (cause as Error).message,
      code: missing ? 'ERROR_FILE_NOT_FOUND' : 'E_FAIL',
      cause,
    });
  }
}

/**
 * Makes a fixed VHD with an empty ext4 to be written to. No journal: a scratch disk is never used again after a crash. No
 * checksums of metadata, so that the guest's kernel needs no further module. What nothing is in yet is holes.
 */
export async function createBlankDisk(options: BlankDiskOptions): Promise<void> {
  const { output, size, label, uuid, time, signal } = options;
  await makeDisk({ output, ...(uuid ? { uuid } : {}), signal }, async (image) => {
    const writer = new Ext4Writer(image, {
      size,
      inodes: Math.ceil(size / bytesPerInode),
      ...(label === undefined ? {} : { label }),
      ...(uuid === undefined ? {} : { uuid }),
      ...(time === undefined ? {} : { time }),
      readOnly: false,
      groupChecksums: true,
      indexDirectories: true,
    });
    return writer.finish();
  });
}
