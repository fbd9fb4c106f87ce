import { FileTree } from './file-tree.ts';
import { hyperVBootModules, rootModules, virtioBootModules } from './guest-modules.ts';
import type { KernelModules } from './kernel-modules.ts';

/** How long the root disk may take to appear, in seconds. */
const rootDiskDeadline = 10;

/** The initial ram disk: busybox, the modules a root disk needs, and the script that finds and mounts it. */
export function makeInitrd(modules: KernelModules, busybox: Uint8Array): FileTree {
  const tree = new FileTree();
  for (const path of ['dev', 'lib/modules', 'lower', 'overlay', 'proc', 'root', 'sys']) tree.directory(path);
  tree.file('bin/busybox', busybox, 0o755);
  for (const applet of ['sh', 'insmod', 'mount', 'mkdir', 'poweroff', 'switch_root', 'usleep']) {
    tree.symlink(`bin/${applet}`, 'busybox');
  }
  const sets = [virtioBootModules, hyperVBootModules, rootModules].map((set) => modules.loadOrder(set));
  for (const { name, content } of sets.flat()) tree.file(`lib/modules/${name}.ko`, content);
  const [virtio = [], hyperV = [], root = []] = sets.map((set) => set.map(({ name }) => name));
  tree.file('init', initScript({ virtio, hyperV, root }), 0o755);
  return tree;
}

/**
 * Builtins of the shell wherever they do: under emulation each program that is started costs 10 ms.
 * The script's arguments are those behind `--` on the kernel's command line; the root file system's
 * `/sbin/init` gets them.
 */
function initScript(modules: { virtio: string[]; hyperV: string[]; root: string[] }): string {
  return `#!/bin/busybox sh
export PATH=/bin

fail() {
  echo "hcsshim: Cannot boot: $1" >/dev/console
  poweroff -f
}

load() {
  for name; do
    # A set may share modules with one before it.
    [ -d /sys/module/$name ] || insmod /lib/modules/$name.ko || echo "hcsshim: Cannot load the kernel module $name"
  done
}

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

monitor='hyperV'
for file in /sys/bus/pci/devices/*/vendor; do
  [ -f "$file" ] && read -r vendor <"$file" && [ "$vendor" = 0x1af4 ] && monitor='virtio' && break
done
case $monitor in
  virtio) load ${modules.virtio.join(' ')} ;;
  hyperV) load ${modules.hyperV.join(' ')} ;;
esac
load ${modules.root.join(' ')}

read -r uptime _ </proc/uptime
deadline=$((\${uptime%.*} + ${rootDiskDeadline}))
until [ -b /dev/sda ]; do
  read -r uptime _ </proc/uptime
  [ \${uptime%.*} -ge $deadline ] && fail 'no root disk /dev/sda within ${rootDiskDeadline} s, attach it to SCSI controller 0 as LUN 0'
  usleep 10000
done

mount -t ext4 -o ro,noload,noatime /dev/sda /lower || fail 'the root disk /dev/sda has no ext4 file system that mounts'
mount -t tmpfs -o mode=755 overlay /overlay
mkdir /overlay/upper /overlay/work
mount -t overlay -o lowerdir=/lower,upperdir=/overlay/upper,workdir=/overlay/work root /root || fail 'the overlay on the root disk does not mount'

for directory in dev proc sys; do
  mount --move /$directory /root/$directory
done
exec switch_root /root /sbin/init "$@"
`;
}
