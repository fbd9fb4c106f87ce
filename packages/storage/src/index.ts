export {
  type BlankDiskOptions,
  createBlankDisk,
  createDirectoryDisk,
  type DirectoryDiskOptions,
} from './ext4-image.ts';
export { type Image, type ImageLayer, type OpenImageOptions, openImage } from './image/image.ts';
export { type ImageDisks, prepareImage } from './image/image-disks.ts';
export type { ImageConfig } from './image/image-documents.ts';
export { createLayerDisk, type LayerDiskOptions, layerFileSystem } from './image/layer-disk.ts';
export { LayerCache, type LayerDisk, type LayerOptions, type PruneOptions } from './layer-cache.ts';
export { NamedScratchDisk } from './named-scratch-disk.ts';
export { type SnapshotDirectories, type SnapshotMount, snapshotDirectories } from './overlay-mounts.ts';
export { defaultScratchSize, ScratchDisk, type ScratchDiskOptions } from './scratch-disk.ts';
export { readVhd, stripVhdFooter } from './vhd.ts';
