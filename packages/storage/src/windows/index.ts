export {
  BackupStreamDecoder,
  type BackupStreamHeader,
  backupStreamIds,
  encodeBackupStreamHeader,
} from './backup-stream.ts';
export { type BaseLayerDisks, setUpContainerBaseLayer, setUpUtilityVmBaseLayer } from './base-layer.ts';
export { cimUsage, destroyCim } from './cim-files.ts';
export { type CimContent, type CimFile, CimImage, type CimImageOptions } from './cim-image.ts';
export { mountCim, unmountCim } from './cim-mount.ts';
export { type ConvertToBaseLayerOptions, convertToBaseLayer } from './convert-to-base-layer.ts';
export {
  type DirectoryEntry,
  type FileBasicInfo,
  type FileLinkInfo,
  fileAttributes,
} from './file-information.ts';
export type { LayerCallOptions } from './layer-call.ts';
export type { ExportLayerOptions, LayerData, OsLayerOptions } from './layer-documents.ts';
export { LayerDriver, type LayerDriverOptions } from './layer-driver.ts';
export {
  type LayerDeletion,
  type LayerEntry,
  type LayerFile,
  LayerReader,
  type LayerReaderOptions,
} from './layer-reader.ts';
export {
  attachLayerStorageFilter,
  attachOverlayFilter,
  destroyLayer,
  detachLayerStorageFilter,
  detachOverlayFilter,
  exportLayer,
  formatWritableLayerDisk,
  importLayer,
  initializeWritableLayer,
  layerDiskMountPath,
  setUpBaseOsLayer,
  setUpBaseOsVolume,
} from './layer-storage.ts';
export { LayerWriter, type LayerWriterOptions } from './layer-writer.ts';
export { createNtfsDisk } from './ntfs-disk.ts';
export type { OpenFile } from './open-file.ts';
export { type FileAccess, type OpenBelowOptions, RootDirectory } from './root-directory.ts';
export { VirtualDisk } from './virtual-disk.ts';
export { type GenericRight, grantVmGroupAccess, type VmGroupAccessOptions } from './vm-group-access.ts';
