import { MountFlag } from '@hcsshim/linux';

interface FlagChange {
  set?: number;
  clear?: number;
}

// linux/mount.h: flags that only this table needs.
const posixAcl = 1 << 16;
const inodeVersion = 1 << 23;

/** Options that are flags of mount(2), with their inverses. Names: mount(8). */
const flags: Record<string, FlagChange> = {
  acl: { set: posixAcl },
  async: { clear: MountFlag.synchronous },
  atime: { clear: MountFlag.noAccessTime },
  bind: { set: MountFlag.bind },
  defaults: {},
  dev: { clear: MountFlag.noDev },
  diratime: { clear: MountFlag.noDirectoryAccessTime },
  dirsync: { set: MountFlag.directorySync },
  exec: { clear: MountFlag.noExec },
  iversion: { set: inodeVersion },
  lazytime: { set: MountFlag.lazyTime },
  loud: { clear: MountFlag.silent },
  mand: { set: MountFlag.mandatoryLock },
  noacl: { clear: posixAcl },
  noatime: { set: MountFlag.noAccessTime },
  nodev: { set: MountFlag.noDev },
  nodiratime: { set: MountFlag.noDirectoryAccessTime },
  noexec: { set: MountFlag.noExec },
  noiversion: { clear: inodeVersion },
  nolazytime: { clear: MountFlag.lazyTime },
  nomand: { clear: MountFlag.mandatoryLock },
  norelatime: { clear: MountFlag.relativeAccessTime },
  nostrictatime: { clear: MountFlag.strictAccessTime },
  nosuid: { set: MountFlag.noSuid },
  rbind: { set: MountFlag.bind | MountFlag.recursive },
  relatime: { set: MountFlag.relativeAccessTime },
  remount: { set: MountFlag.remount },
  ro: { set: MountFlag.readOnly },
  rw: { clear: MountFlag.readOnly },
  silent: { set: MountFlag.silent },
  strictatime: { set: MountFlag.strictAccessTime },
  suid: { clear: MountFlag.noSuid },
  sync: { set: MountFlag.synchronous },
};

/** Options that need a mount(2) of their own, after the first. */
const propagation: Record<string, number> = {
  private: MountFlag.private,
  shared: MountFlag.shared,
  slave: MountFlag.slave,
  unbindable: MountFlag.unbindable,
  rprivate: MountFlag.private | MountFlag.recursive,
  rshared: MountFlag.shared | MountFlag.recursive,
  rslave: MountFlag.slave | MountFlag.recursive,
  runbindable: MountFlag.unbindable | MountFlag.recursive,
};

export interface MountOptions {
  /** Flags of the mount itself. */
  flags: number;
  /** Flags of one further call each. */
  propagation: number[];
  /** What the file system itself is to understand. */
  data: string[];
}

/** Sorts the options of mount(8) into what mount(2) takes. Later ones win; an unknown one is the file system's. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  const result: MountOptions = { flags: 0, propagation: [], data: [] };
  for (const option of options) {
    const change = Object.hasOwn(flags, option) ? flags[option] : undefined;
    const spread = Object.hasOwn(propagation, option) ? propagation[option] : undefined;
    if (change) result.flags = (result.flags | (change.set ?? 0)) & ~(change.clear ?? 0);
    else if (spread !== undefined) result.propagation.push(spread);
    else result.data.push(option);
  }
  return result;
}
