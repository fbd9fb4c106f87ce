import {
  appendVhdFooter,
  FileOutput,
  type SeekableOutput,
  type TarToExt4Options,
  tarToExt4,
} from '@hcsshim/ext4';
import { OutputFile, ProgressBar, systemProblem } from '@hcsshim/program';
import { ArchiveIdentity } from './archive-identity.ts';
import { type ArchiveInput, openArchive } from './archive-input.ts';
import { DeviceOutput } from './device-output.ts';
import type { ImageOptions } from './options.ts';

const sectorSize = 512;

export interface MakeImageOptions {
  /** @default standard input */
  input?: string;
  output: string;
  image: ImageOptions;
  signal: AbortSignal;
}

/**
 * Makes the image. The output has its name when it is complete; a device, which is written in place, may hold a part of
 * the image after an error.
 */
export async function makeImage({ input, output, image, signal }: MakeImageOptions): Promise<void> {
  using archive = await openArchive(input, signal);
  using file = new OutputFile(output);
  const { onlyVhd } = image;
  const identity = image.vhd || onlyVhd ? new ArchiveIdentity(onlyVhd ? {} : image) : undefined;
  try {
    const disk = file.inPlace ? new DeviceOutput(file.fd) : new FileOutput(file.fd);
    const chunks = observed(archive, identity);
    const size = onlyVhd
      ? await copy(chunks, disk, signal)
      : (await tarToExt4(chunks, disk, { ...converterOptions(image), signal })).size;
    if (identity) appendVhdFooter(disk, { size, id: identity.digest() });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new Error(`Cannot write "${output}": ${systemProblem(error)}`, { cause: error });
  }
  file.complete();
}

function converterOptions(image: ImageOptions): TarToExt4Options {
  const { overlay, convertSlash, inline, index, journal, metadataChecksums, uuid, label, maxSize, time } =
    image;
  return {
    convertWhiteouts: overlay,
    convertBackslashes: convertSlash,
    inlineData: inline,
    indexDirectories: index,
    metadataChecksums,
    ...(journal !== undefined && { journalSize: journal, readOnly: false }),
    ...(uuid !== undefined && { uuid }),
    ...(label !== undefined && { label }),
    ...(maxSize !== undefined && { maximumDiskSize: maxSize }),
    ...(time !== undefined && { time }),
  };
}

/** Passes the archive on, and shows and notes what passes. */
async function* observed(
  { chunks, size }: ArchiveInput,
  identity: ArchiveIdentity | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  using progress = new ProgressBar('tar2ext4', size);
  for await (const chunk of chunks) {
    progress.add(chunk.length);
    identity?.update(chunk);
    yield chunk;
  }
}

/** Returns the size, which is whole sectors. */
async function copy(
  chunks: AsyncIterable<Uint8Array>,
  disk: SeekableOutput,
  signal: AbortSignal,
): Promise<number> {
  let size = 0;
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    disk.write(chunk, size);
    size += chunk.length;
  }
  if (size > 0 && size % sectorSize === 0) return size;
  throw new Error(`Cannot make a VHD of ${size} bytes: they are no whole sectors of ${sectorSize}`);
}
