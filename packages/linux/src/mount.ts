import { checked, libc } from './libc.ts';

/** `MS_*` of `sys/mount.h`. */
export const MountFlag = {
  readOnly: 1,
  noSuid: 1 << 1,
  noDev: 1 << 2,
  noExec: 1 << 3,
  synchronous: 1 << 4,
  remount: 1 << 5,
  mandatoryLock: 1 << 6,
  directorySync: 1 << 7,
  noSymlinkFollow: 1 << 8,
  noAccessTime: 1 << 10,
  noDirectoryAccessTime: 1 << 11,
  bind: 1 << 12,
  move: 1 << 13,
  recursive: 1 << 14,
  silent: 1 << 15,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  relativeAccessTime: 1 << 21,
  strictAccessTime: 1 << 24,
  lazyTime: 1 << 25,
} as const;

/** `MNT_*` and `UMOUNT_NOFOLLOW` of `sys/mount.h`. */
export const UnmountFlag = { force: 1, detach: 2, expire: 4, noFollow: 8 } as const;

/**
 * mount(2). `source` and `fstype` may be empty where the call ignores them (remount, propagation).
 *
 * @param flags {@link MountFlag}s. @default 0
 * @param data Options of the file system, separated by commas. At most a page minus one byte.
 */
export function mount(source: string, target: string, fstype: string, flags = 0, data?: string): void {
  const what = source || fstype || 'file system';
  checked(
    libc().mount(source, target, fstype || null, BigInt(flags), data ?? null),
    'mount',
    `mount "${what}" on "${target}"`,
  );
}

/** umount2(2). @param flags {@link UnmountFlag}s. @default 0 */
export function unmount(target: string, flags = 0): void {
  checked(libc().umount2(target, flags), 'umount2', `unmount "${target}"`);
}
