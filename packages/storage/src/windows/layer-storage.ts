import { bind, computestorage } from '@hcsshim/windows';
import { absolutePath, copyTimeout, type LayerCallOptions, layerCall } from './layer-call.ts';
import {
  documentText,
  type ExportLayerOptions,
  type LayerData,
  layerDataText,
  type OsLayerOptions,
} from './layer-documents.ts';
import type { VirtualDisk } from './virtual-disk.ts';

/**
 * Layers of Windows containers through `computestorage.dll`, from Windows build 17763 on. All reject with an HcsError that names the
 * layer. `SchemaVersion` of a {@link LayerData} is 2.1 where it has none.
 */

/** Makes a layer of a folder with `Files` in it, and for a base layer `Hives`. Given up after 30 minutes by default. */
export async function importLayer(
  layerPath: string,
  sourceFolder: string,
  layerData: LayerData,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`import layer "${layerPath}"`, { timeout: copyTimeout, ...options }, () =>
    bind(computestorage).HcsImportLayer({
      layerPath: absolutePath(layerPath, 'layer'),
      sourceFolderPath: absolutePath(sourceFolder, 'source folder'),
      layerData: layerDataText(layerData),
    }),
  );
}

/** Writes a layer to a folder that is there. Given up after 30 minutes by default. */
export async function exportLayer(
  layerPath: string,
  exportFolder: string,
  layerData: LayerData,
  {
    isWritableLayer = false,
    ...options
  }: LayerCallOptions & {
    /** The layer is a container's own, and only its changes are written. @default false */
    isWritableLayer?: boolean;
  } = {},
): Promise<void> {
  const exportOptions: ExportLayerOptions = isWritableLayer ? { IsWritableLayer: true } : {};
  return layerCall(`export layer "${layerPath}"`, { timeout: copyTimeout, ...options }, () =>
    bind(computestorage).HcsExportLayer({
      layerPath: absolutePath(layerPath, 'layer'),
      exportFolderPath: absolutePath(exportFolder, 'target folder'),
      layerData: layerDataText(layerData),
      options: documentText('ExportLayerOptions', exportOptions),
    }),
  );
}

/** Removes a layer with all of its files, also those that ordinary removal may not touch. */
export async function destroyLayer(layerPath: string, options: LayerCallOptions = {}): Promise<void> {
  return layerCall(`destroy layer "${layerPath}"`, options, () =>
    bind(computestorage).HcsDestroyLayer({ layerPath: absolutePath(layerPath, 'layer') }),
  );
}

/** Makes a container's writable layer ready. `layerPath` is where its disk is mounted. */
export async function initializeWritableLayer(
  layerPath: string,
  layerData: LayerData,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`initialize writable layer "${layerPath}"`, options, () =>
    bind(computestorage).HcsInitializeWritableLayer({
      writableLayerPath: absolutePath(layerPath, 'layer'),
      layerData: layerDataText(layerData),
    }),
  );
}

/** Puts the storage filter over a writable layer, so that it shows its parents' files. `layerPath` is where its disk is mounted. */
export async function attachLayerStorageFilter(
  layerPath: string,
  layerData: LayerData,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`attach the storage filter to layer "${layerPath}"`, options, () =>
    bind(computestorage).HcsAttachLayerStorageFilter({
      layerPath: absolutePath(layerPath, 'layer'),
      layerData: layerDataText(layerData),
    }),
  );
}

export async function detachLayerStorageFilter(
  layerPath: string,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`detach the storage filter from layer "${layerPath}"`, options, () =>
    bind(computestorage).HcsDetachLayerStorageFilter({ layerPath: absolutePath(layerPath, 'layer') }),
  );
}

/** As the storage filter, of the kind in `FilterType`: UnionFS for layers in CimFS, WCIFS otherwise. From build 20348 on. */
export async function attachOverlayFilter(
  volumePath: string,
  layerData: LayerData,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`attach the overlay filter to volume "${volumePath}"`, options, () =>
    bind(computestorage).HcsAttachOverlayFilter({
      volumePath: absolutePath(volumePath, 'volume'),
      layerData: layerDataText(layerData),
    }),
  );
}

/** @param layerData What the filter was attached with. */
export async function detachOverlayFilter(
  volumePath: string,
  layerData: LayerData,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`detach the overlay filter from volume "${volumePath}"`, options, () =>
    bind(computestorage).HcsDetachOverlayFilter({
      volumePath: absolutePath(volumePath, 'volume'),
      layerData: layerDataText(layerData),
    }),
  );
}

/** Gives a writable layer's disk one partition with NTFS. */
export async function formatWritableLayerDisk(
  disk: VirtualDisk,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`format disk "${disk.path}"`, options, () =>
    disk.use((vhdHandle) => bind(computestorage).HcsFormatWritableLayerVhd({ vhdHandle })),
  );
}

/** The path of the volume on an attached disk of a layer, always as `\\?\Volume{…}\`. */
export async function layerDiskMountPath(disk: VirtualDisk, options: LayerCallOptions = {}): Promise<string> {
  return layerCall(`find the volume of disk "${disk.path}"`, options, async () => {
    const { mountPath } = await disk.use((vhdHandle) =>
      bind(computestorage).HcsGetLayerVhdMountPath({ vhdHandle }),
    );
    if (mountPath === null) throw new Error('HcsGetLayerVhdMountPath gave no path');
    return mountPath.endsWith('\\') ? mountPath : `${mountPath}\\`;
  });
}

/**
 * Sets a base layer up: for a container, whose `Hives` and `Layout` must not be there yet, without a disk; for a utility VM,
 * `Type` `Vm`, on its attached disk.
 */
export async function setUpBaseOsLayer(
  layerPath: string,
  osLayerOptions: OsLayerOptions,
  { disk, ...options }: LayerCallOptions & { disk?: VirtualDisk | undefined } = {},
): Promise<void> {
  return layerCall(`set up base layer "${layerPath}"`, options, async () => {
    const inputs = {
      layerPath: absolutePath(layerPath, 'layer'),
      options: documentText('OsLayerOptions', osLayerOptions),
    };
    const { HcsSetupBaseOSLayer } = bind(computestorage);
    if (disk === undefined) return HcsSetupBaseOSLayer(inputs);
    return disk.use((vhdHandle) => HcsSetupBaseOSLayer({ ...inputs, vhdHandle }));
  });
}

/** As {@link setUpBaseOsLayer}, on a volume. From build 19645 on. */
export async function setUpBaseOsVolume(
  layerPath: string,
  volumePath: string,
  osLayerOptions: OsLayerOptions,
  options: LayerCallOptions = {},
): Promise<void> {
  return layerCall(`set up volume "${volumePath}" for base layer "${layerPath}"`, options, () =>
    bind(computestorage).HcsSetupBaseOSVolume({
      layerPath: absolutePath(layerPath, 'layer'),
      volumePath: absolutePath(volumePath, 'volume'),
      options: documentText('OsLayerOptions', osLayerOptions),
    }),
  );
}
