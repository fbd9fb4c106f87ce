import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MountFlag, mount } from '@hcsshim/linux';
import type { ContainerServices } from '../containers/container.ts';
import { removeTree } from '../storage/mount-table.ts';

const id = 'warm-up';

/**
 * Runs an empty container once, so that a VM saved afterwards has the OCI runtime, its libraries and our own
 * code for it in memory, and a clone's first container does not pay for them.
 *
 * @param directory For its bundle, on a tmpfs.
 */
export async function warmUp(
  { runtime, reaper }: Pick<ContainerServices, 'runtime' | 'reaper'>,
  { directory, cgroupParent }: { directory: string; cgroupParent: string },
): Promise<void> {
  const bundle = join(directory, id);
  const root = join(bundle, 'rootfs');
  await mkdir(root, { recursive: true, mode: 0o700 });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => removeTree(bundle));
  mount('/', root, '', MountFlag.bind);
  await writeFile(join(bundle, 'config.json'), JSON.stringify(spec(root, join(cgroupParent, id))));
  cleanup.defer(() => runtime.delete(id));
  using _orphans = reaper.holdOrphans();
  const { pid } = await runtime.run({ id, bundle, stdio: 'ignore', terminal: false });
  await reaper.exitOf(pid);
}

function spec(root: string, cgroupsPath: string): object {
  return {
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args: ['/bin/true'], env: ['PATH=/bin'], cwd: '/' },
    root: { path: root, readonly: true },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      cgroupsPath,
      namespaces: ['pid', 'mount', 'uts', 'ipc', 'network'].map((type) => ({ type })),
    },
  };
}
