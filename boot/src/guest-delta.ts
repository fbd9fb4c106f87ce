import { stripElf } from './elf.ts';
import { FileTree } from './file-tree.ts';
import { rootfsModules } from './guest-modules.ts';
import { aliasFile, type KernelModules } from './kernel-modules.ts';
import { addSharedLibraries } from './shared-libraries.ts';

export interface GuestDeltaOptions {
  /** The Node program that runs the agent. */
  node: Uint8Array;
  /** The agent, bundled to one CommonJS file. */
  agent: Uint8Array;
  /** Files of the Debian packages: programs, and libraries to choose from. */
  packages: FileTree;
  modules: KernelModules;
  /** For example `6.1.0-56-amd64`. */
  kernelRelease: string;
}

/** Programs that the agent starts: the OCI runtime, and what makes and checks scratch disks. */
const guestPrograms = ['usr/bin/crun', 'sbin/mke2fs', 'sbin/e2fsck'] as const;

/** What is mounted over, or made for what the agent and containers put there. */
const guestDirectories = ['dev', 'dev/pts', 'mnt', 'proc', 'run', 'sys', 'var/lib', 'var/log'] as const;

/**
 * PID 1 is the agent itself: under emulation each start of Node costs seconds. The upstream launchers that
 * the kernel's command line names (/bin/vsockexec, /bin/gcs) are arguments to it.
 */
const initScript = `#!/bin/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec /bin/node --disable-warning=ExperimentalWarning /usr/lib/hcsshim/gcs.cjs "$@"
`;

/** What goes on top of a base file system to make it the guest's: Node, the agent, its programs, modules. */
export function makeGuestDelta(options: GuestDeltaOptions): FileTree {
  const { packages, modules, kernelRelease } = options;
  const tree = new FileTree();
  for (const path of guestDirectories) tree.directory(path);
  tree.directory('tmp', 0o1777);
  tree.symlink('var/run', '/run');

  tree.file('bin/node', stripElf(options.node), 0o755);
  tree.file('usr/lib/hcsshim/gcs.cjs', options.agent);
  tree.file('sbin/init', initScript, 0o755);
  tree.symlink('bin/gcs', '../sbin/init');

  for (const path of ['bin/busybox', ...guestPrograms]) {
    const program = packages.get(path);
    if (!program)
      throw new Error(`Cannot find "${path}": no package has it, is the release of Debian a supported one?`);
    tree.add(path, program);
  }
  for (const name of ['mkfs.ext4', 'mkfs.ext3', 'mkfs.ext2']) tree.symlink(`sbin/${name}`, 'mke2fs');
  tree.symlink('sbin/modprobe', '../bin/busybox');
  addSharedLibraries(tree, packages);

  const folder = `lib/modules/${kernelRelease}`;
  const wanted = modules.loadOrder(rootfsModules);
  for (const { path, content } of wanted) tree.file(`${folder}/${path}`, content);
  tree.file(`${folder}/modules.dep`, modules.dependencyFile(wanted));
  tree.file(`${folder}/modules.alias`, aliasFile(wanted));
  return tree;
}
