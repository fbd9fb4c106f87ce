import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

/** Where control groups are mounted: one tree in version 2, one for each controller in version 1. */
export interface CgroupMounts {
  version: 1 | 2;
  root: string;
}

/** @param path The mount. @default '/sys/fs/cgroup' */
export function findCgroups(path: string = root): CgroupMounts {
  return { version: existsSync(join(path, 'cgroup.controllers')) ? 2 : 1, root: path };
}

/** Reads a file of a control group, or undefined when this kernel does not have it. */
export type CgroupReader = (controller: string, file: string) => string | undefined;

/** Reads the files of the control group `path`, for example `/containers/x`. */
export function cgroupReader({ version, root }: CgroupMounts, path: string): CgroupReader {
  return (controller, file) => {
    try {
      return readFileSync(join(root, version === 1 ? controller : '', path, file), 'latin1');
    } catch {
      return undefined;
    }
  };
}
