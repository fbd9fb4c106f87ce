import { type ByteSource, Ext4Error, type TarToExt4Options, tarToExt4 } from '@hcsshim/ext4';
import { HcsError } from '@hcsshim/schema';
import { type DiskTarget, makeDisk } from '../disk-file.ts';

export interface LayerDiskOptions extends DiskTarget {
  /** The layer's tar archive; also compressed with gzip or zstd. */
  archive: ByteSource;
  /** Most entries of the archive. @default 1000000 */
  entries?: number;
  /** Most bytes of content. @default 64 GiB */
  bytes?: number;
}

/**
 * How every layer becomes a file system, whoever makes the disk: a policy that knows the root hash of a layer would not
 * know one made in another way. Whiteouts become what overlayfs knows; `trusted.*` attributes are left out, because
 * overlayfs is steered by them and no image has a say in that. Symlinks in paths are followed within the layer, as a
 * runtime would that unpacks into a root directory.
 */
export const layerFileSystem = {
  // Upstream's: room for so large a disk is set aside in each, so it decides bytes.
  maximumDiskSize: 128 * 1024 ** 3,
  lostAndFound: false,
  indexDirectories: true,
  convertWhiteouts: true,
  dropTrusted: true,
  followSymlinks: true,
} as const satisfies TarToExt4Options;

/**
 * Makes a fixed VHD with ext4 of a layer's archive, straight from the stream: nothing is unpacked on the host. The
 * file system is {@link layerFileSystem}. Throws HCS_E_INVALID_LAYER, with the member's name and place.
 */
export async function createLayerDisk(options: LayerDiskOptions): Promise<void> {
  const { archive, entries = 1_000_000, bytes = 64 * 1024 ** 3, ...target } = options;
  try {
    await makeDisk(target, (image) =>
      tarToExt4(archive, image, {
        ...layerFileSystem,
        limits: { entries, bytes },
        signal: target.signal,
      }),
    );
  } catch (cause) {
    if (!(cause instanceof Ext4Error)) throw cause;
    throw new HcsError({
      action: 'Cannot make a disk of the layer',
      problem: cause.message,
      code: 'HCS_E_INVALID_LAYER',
      cause,
    });
  }
}
