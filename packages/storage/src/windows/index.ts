export { type BaseLayerDisks, setUpContainerBaseLayer, setUpUtilityVmBaseLayer } from './base-layer.ts';
export { cimUsage, destroyCim } from './cim-files.ts';
export { type CimContent, type CimFile, CimImage, type CimImageOptions } from './cim-image.ts';
export { mountCim, unmountCim } from './cim-mount.ts';
export type { LayerCallOptions } from './layer-call.ts';
export type { ExportLayerOptions, LayerData, OsLayerOptions } from './layer-documents.ts';
export { LayerDriver, type LayerDriverOptions } from './layer-driver.ts';
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
export { createNtfsDisk } from './ntfs-disk.ts';
export { VirtualDisk } from './virtual-disk.ts';
export { type GenericRight, grantVmGroupAccess, type VmGroupAccessOptions } from './vm-group-access.ts';
