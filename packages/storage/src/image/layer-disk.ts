import { type ByteSource, Ext4Error, tarToExt4 } from '@hcsshim/ext4';
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

const label = 'layer';
/** The root of a layer may be any size up to this; what is not used takes no place. */
const largestDisk = 128 * 1024 ** 3;

/**
 * Makes a fixed VHD with ext4 of a layer's archive, straight from the stream: nothing is unpacked on the host. Whiteouts
 * become what overlayfs knows; `trusted.*` attributes are left out, because overlayfs is steered by them and no image
 * has a say in that. Throws HCS_E_INVALID_LAYER, with the member's name and place.
 */
export async function createLayerDisk(options: LayerDiskOptions): Promise<void> {
  const { archive, entries = 1_000_000, bytes = 64 * 1024 ** 3, ...target } = options;
  try {
    await makeDisk(target, (image) =>
      tarToExt4(archive, image, {
        label,
        maximumDiskSize: largestDisk,
        lostAndFound: false,
        indexDirectories: true,
        convertWhiteouts: true,
        dropTrusted: true,
        // As a runtime would that unpacks into a root directory.
        followSymlinks: true,
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
