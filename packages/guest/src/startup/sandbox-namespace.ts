import { closeSync, constants, mkdirSync, openSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MountFlag, mount } from '@hcsshim/linux';
import { findCgroups } from '../cgroup/cgroup-mounts.ts';

const cgroupRoot = '/sys/fs/cgroup';

/**
 * Makes the mount namespace of a sandbox its own: an empty `/run`, in which only the sandbox's directory is
 * still seen, and control groups that the OCI runtime takes. Nothing of this is visible on the host, and all of
 * it goes with the namespace.
 */
export function enterSandbox(directory: string): void {
  if (process.pid !== 1) {
    throw new Error(
      `Cannot serve sandbox "${directory}": the agent would change the host's mounts, start it by "unshare -m -p -u -i -n --fork --mount-proc"`,
    );
  }
  mount('', '/', '', MountFlag.private | MountFlag.recursive);
  replaceRun(realpathSync(directory));
  if (findCgroups().version === 1) leaveOutUnifiedCgroup();
}

function replaceRun(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    mount('tmpfs', '/run', 'tmpfs', MountFlag.noSuid | MountFlag.noDev, 'mode=0755');
    if (!directory.startsWith('/run/')) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    mount(`/proc/self/fd/${fd}`, directory, '', MountFlag.bind | MountFlag.recursive);
  } finally {
    closeSync(fd);
  }
}

/**
 * crun refuses a host that has an empty version 2 tree beside the controllers of version 1; and where that tree
 * is merely unmounted, it makes directories in the tmpfs below, which is the host's. So the controllers are
 * bound into a tmpfs of our own.
 */
function leaveOutUnifiedCgroup(): void {
  const staging = '/run/cgroup';
  mkdirSync(staging);
  mount('tmpfs', staging, 'tmpfs', MountFlag.noSuid | MountFlag.noDev | MountFlag.noExec, 'mode=0755');
  const root = statSync(cgroupRoot).dev;
  for (const name of readdirSync(cgroupRoot)) {
    const source = join(cgroupRoot, name);
    if (name === 'unified' || statSync(source).dev === root) continue;
    mkdirSync(join(staging, name));
    mount(source, join(staging, name), '', MountFlag.bind);
  }
  mount(staging, cgroupRoot, '', MountFlag.move);
}
