import { release } from 'node:os';
import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { bind, offreg } from '@hcsshim/windows';
import { type BaseLayerDriver, processBaseLayer } from './base-layer-target.ts';
import { type FileBasicInfo, fileAttributes } from './file-information.ts';
import { copyTimeout, type LayerCallOptions, layerCall } from './layer-call.ts';
import { LayerDriver } from './layer-driver.ts';
import { filesFolder, utilityVmFiles } from './legacy-layer.ts';
import { RootDirectory } from './root-directory.ts';

/** Where Windows takes the registry of a base layer from. */
const hivesInFiles = 'Files\\Windows\\System32\\config';
const hiveNames = ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'] as const;
const bootConfiguration = `${utilityVmFiles}\\EFI\\Microsoft\\Boot\\BCD`;

export interface ConvertToBaseLayerOptions extends LayerCallOptions {
  /** What makes a layer of files. @default a new LayerDriver */
  driver?: BaseLayerDriver;
}

/**
 * Makes a base layer of a folder with files in `Files`, and of a utility VM in `UtilityVM\Files` where it has one, which must be able to
 * boot. Hives of the registry that it lacks are made empty. Given up after 30 minutes by default. Source: hcsshim's internal/wclayer,
 * `ConvertToBaseLayer`.
 */
export async function convertToBaseLayer(
  path: string,
  { driver = new LayerDriver(), ...options }: ConvertToBaseLayerOptions = {},
): Promise<void> {
  const action = `convert "${path}" to a base layer`;
  return layerCall(action, { timeout: copyTimeout, ...options }, async (signal) => {
    await using root = await RootDirectory.open(path, { signal });
    await ensureKind(root, filesFolder, 'directory', signal);
    await root.mkdirAll(hivesInFiles, { signal });
    for (const name of hiveNames) await ensureHive(root, `${hivesInFiles}\\${name}`, signal);
    const hasUtilityVm = (await root.lstatIfThere(utilityVmFiles, { signal })) !== undefined;
    if (hasUtilityVm) {
      await ensureKind(root, utilityVmFiles, 'directory', signal);
      // Whether it is a hive is told by the call that reads it.
      await ensureKind(root, bootConfiguration, 'file', signal);
    }
    await processBaseLayer(root, hasUtilityVm, driver, signal);
  });
}

async function ensureHive(root: RootDirectory, path: string, signal: AbortSignal): Promise<void> {
  const info = await root.lstatIfThere(path, { signal });
  if (info !== undefined) {
    if (kindOf(info) !== 'file') throw wrongKind(path, 'file');
    return;
  }
  const { ORCreateHive, ORSaveHive, ORCloseHive } = bind(offreg);
  const { hive } = await ORCreateHive({});
  await using _ = { [Symbol.asyncDispose]: () => ORCloseHive({ hive }) };
  await ORSaveHive({ hive, path: win32.join(root.path, path), ...windowsVersion() });
}

async function ensureKind(
  root: RootDirectory,
  path: string,
  kind: 'file' | 'directory',
  signal: AbortSignal,
): Promise<void> {
  if (kindOf(await root.lstat(path, { signal })) !== kind) throw wrongKind(path, kind);
}

function kindOf({ attributes }: FileBasicInfo): 'file' | 'directory' | 'reparse point' {
  if ((attributes & fileAttributes.reparsePoint) !== 0) return 'reparse point';
  return (attributes & fileAttributes.directory) !== 0 ? 'directory' : 'file';
}

function windowsVersion(): { osMajorVersion: number; osMinorVersion: number } {
  const [osMajorVersion = 10, osMinorVersion = 0] = release().split('.').map(Number);
  return { osMajorVersion, osMinorVersion };
}

function wrongKind(path: string, kind: string): HcsError {
  return new HcsError({
    action: `Cannot use "${path}"`,
    problem: `it is no ${kind}`,
    code: kind === 'directory' ? 'ERROR_DIRECTORY' : 'ERROR_INVALID_DATA',
  });
}
