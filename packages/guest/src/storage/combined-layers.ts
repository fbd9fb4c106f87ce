import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MountFlag, mount } from '@hcsshim/linux';
import { type CombinedLayers, HcsError } from '@hcsshim/schema';
import { unmountAndRemove } from './mount-table.ts';

/** What mount(2) takes as data: a page without its last byte. */
const longestData = 4095;

/** Puts layers, the topmost first, and a scratch directory together as one file tree: overlayfs. */
export async function combineLayers(layers: CombinedLayers): Promise<void> {
  const { ContainerRootPath: target = '', ScratchPath: scratch = '', Layers = [] } = layers;
  const action = `Cannot combine ${Layers.length} layers at "${target}"`;
  if (target === '' || Layers.length === 0) {
    throw new HcsError({ action, problem: 'give a path and at least one layer', code: 'E_INVALIDARG' });
  }
  const lower = Layers.map(({ Path: path = '' }) => escapePath(path)).join(':');
  const options = [`lowerdir=${lower}`];
  if (scratch !== '') {
    const upper = join(scratch, 'upper');
    const work = join(scratch, 'work');
    await mkdir(upper, { recursive: true, mode: 0o755 });
    await mkdir(work, { recursive: true, mode: 0o755 });
    options.push(`upperdir=${escapePath(upper)}`, `workdir=${escapePath(work)}`);
  }
  const data = options.join(',');
  if (Buffer.byteLength(data) > longestData) {
    throw new HcsError({
      action,
      problem: `their paths have ${Buffer.byteLength(data)} bytes together and the kernel takes ${longestData}, mount layers at shorter paths`,
      code: 'E_INVALIDARG',
    });
  }
  const created = await mkdir(target, { recursive: true, mode: 0o755 });
  try {
    if (scratch === '' && Layers.length === 1) {
      // Overlayfs refuses a single layer without scratch.
      mount(Layers[0]?.Path ?? '', target, '', MountFlag.bind);
      mount('', target, '', MountFlag.bind | MountFlag.remount | MountFlag.readOnly);
    } else {
      mount('overlay', target, 'overlay', scratch === '' ? MountFlag.readOnly : 0, data);
    }
  } catch (error) {
    if (created !== undefined) await rmdir(target).catch(() => {});
    throw error;
  }
}

/** Takes back what {@link combineLayers} did. What is not mounted is no error. */
export async function separateLayers({ ContainerRootPath: target = '' }: CombinedLayers): Promise<void> {
  if (target !== '') await unmountAndRemove(target);
}

/** Overlayfs separates with colons and commas; a backslash makes them part of the path. */
function escapePath(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}
