import { FileTree } from './file-tree.ts';

/** Applets that would stand in the way of the guest's own programs, or do harm. */
const leftOut = new Set(['busybox', 'dpkg', 'dpkg-deb', 'init', 'linuxrc', 'mke2fs', 'rpm', 'rpm2cpio']);

/** Applets at a path that something else relies on: the kernel calls `/sbin/modprobe`. */
const systemApplets = ['insmod', 'modprobe', 'poweroff', 'reboot', 'rmmod'] as const;

/** The smallest root file system that is a useful one: busybox with its applets. */
export function makeBusyboxBase(busybox: Uint8Array): FileTree {
  const tree = new FileTree();
  tree.file('bin/busybox', busybox, 0o755);
  for (const applet of busyboxApplets(busybox)) {
    if (!leftOut.has(applet)) tree.symlink(`bin/${applet}`, 'busybox');
  }
  for (const applet of systemApplets) tree.symlink(`sbin/${applet}`, '../bin/busybox');
  tree.file(
    'etc/passwd',
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  );
  tree.file('etc/group', 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n');
  tree.file('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
  tree.file('etc/nsswitch.conf', 'hosts: files dns\n');
  tree.directory('root', 0o700);
  return tree;
}

/** The names in busybox's table of applets: sorted strings with a NUL behind each, the first is `[`. */
function busyboxApplets(busybox: Uint8Array): string[] {
  const bytes = Buffer.from(busybox.buffer, busybox.byteOffset, busybox.byteLength);
  const start = bytes.indexOf('\0[\0[[\0') + 1;
  const end = bytes.indexOf('\0\0', start);
  const names = start > 0 && end > start ? bytes.toString('latin1', start, end).split('\0') : [];
  const table = names.slice(
    0,
    names.findIndex((name, at) => at > 0 && name < (names[at - 1] as string)) >>> 0,
  );
  if (!table.includes('sh') || !table.includes('modprobe')) {
    throw new Error(
      'Cannot read the applets of busybox: its table was not found, take the Debian package "busybox-static"',
    );
  }
  return table;
}
