import { win32 } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { bind, cimfs } from '@hcsshim/windows';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';

/**
 * Mounts an image as a volume. Must be undone by {@link unmountCim}. Gives the volume's path, `\\?\Volume{…}\`.
 *
 * @param path The image: its folder and name.
 * @param volumeId A GUID of the caller's choice.
 */
export async function mountCim(
  path: string,
  volumeId: string,
  {
    flags = 0,
    ...options
  }: LayerCallOptions & {
    /** `CIM_MOUNT_…` (cimfs.h). @default 0 */
    flags?: number;
  } = {},
): Promise<string> {
  return layerCall(`mount image "${path}"`, options, async () => {
    const imagePath = win32.dirname(absolutePath(path, 'image'));
    await bind(cimfs).CimMountImage({ imagePath, fileSystemName: win32.basename(path), flags, volumeId });
    return `\\\\?\\Volume{${volumeId.replace(/^\{|\}$/g, '').toLowerCase()}}\\`;
  });
}

/** @param volumePath As {@link mountCim} gave it. */
export async function unmountCim(volumePath: string, options: LayerCallOptions = {}): Promise<void> {
  return layerCall(`unmount image volume "${volumePath}"`, options, async () => {
    const volumeId = /^\\\\\?\\Volume\{([0-9a-f-]{36})\}\\?$/i.exec(volumePath)?.[1];
    if (volumeId === undefined) {
      throw new HcsError({
        action: `Cannot use "${volumePath}" as the path of a volume`,
        problem: 'write it as \\\\?\\Volume{01234567-89ab-cdef-0123-456789abcdef}\\',
        code: 'E_INVALIDARG',
      });
    }
    await bind(cimfs).CimDismountImage({ volumeId });
  });
}
