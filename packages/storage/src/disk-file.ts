import { randomUUID } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { appendVhdFooter, type Ext4Image, FileOutput, type SeekableOutput } from '@hcsshim/ext4';

export interface DiskTarget {
  /** The file to make. It appears when it is complete; a file that is there is replaced. */
  output: string;
  /** A GUID, of the disk and of its file system. @default random for the disk, none for the file system */
  uuid?: string;
  signal?: AbortSignal | undefined;
}

/** Makes a fixed VHD of the file system that `write` writes, and puts it in place when it is complete and on disk. */
export async function makeDisk(
  { output, uuid, signal }: DiskTarget,
  write: (image: SeekableOutput) => Promise<Ext4Image>,
): Promise<void> {
  const temporary = `${output}.${randomUUID()}.tmp`;
  try {
    const fd = openSync(temporary, 'wx+', 0o600);
    try {
      const disk = new FileOutput(fd);
      const { size } = await write(disk);
      appendVhdFooter(disk, { size, id: Buffer.from((uuid ?? randomUUID()).replaceAll('-', ''), 'hex') });
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
    signal?.throwIfAborted();
    await rename(temporary, output);
  } finally {
    await rm(temporary, { force: true });
  }
}
