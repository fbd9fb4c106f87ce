import { HcsError } from '@hcsshim/schema';

/** A mount as containerd describes it to a shim (`containerd.types.Mount`). */
export interface SnapshotMount {
  /** `overlay`, `bind`, … */
  type: string;
  source: string;
  options: readonly string[];
}

/** The directories that a snapshot is made of. */
export interface SnapshotDirectories {
  /** Read-only layers, the topmost first. */
  lower: string[];
  /** The writable directory; it may hold something already when the snapshot was used before. */
  upper?: string;
}

/**
 * Takes the mount of a snapshot apart: an overlay, or the bind mount that containerd makes of a single
 * directory, read-only (a view of one layer) or not (a container with no layers below).
 * Throws E_INVALIDARG, and ERROR_NOT_SUPPORTED for mounts that are no directories, such as block devices.
 */
export function snapshotDirectories(mounts: readonly SnapshotMount[]): SnapshotDirectories {
  const [mount, ...more] = mounts;
  if (!mount) throw cannot('containerd gave no mount', 'E_INVALIDARG');
  if (more.length > 0) {
    throw cannot(
      `it has ${mounts.length} mounts, use the overlayfs or native snapshotter`,
      'ERROR_NOT_SUPPORTED',
    );
  }
  switch (mount.type) {
    case 'overlay':
      return overlayDirectories(mount.options);
    case 'bind':
    case 'rbind':
      return bindDirectories(mount);
    default:
      throw cannot(
        `its mount is of type "${mount.type}", use the overlayfs or native snapshotter`,
        'ERROR_NOT_SUPPORTED',
      );
  }
}

function overlayDirectories(options: readonly string[]): SnapshotDirectories {
  const lower = optionValue(options, 'lowerdir');
  const upper = optionValue(options, 'upperdir');
  if (lower === undefined) throw cannot('its overlay mount has no lowerdir', 'E_INVALIDARG');
  return {
    lower: splitLowerDirectories(lower).map(absolute),
    ...(upper === undefined ? {} : { upper: absolute(unescapePath(upper)) }),
  };
}

function bindDirectories({ source, options }: SnapshotMount): SnapshotDirectories {
  const directory = absolute(source);
  return options.includes('ro') ? { lower: [directory] } : { lower: [], upper: directory };
}

function optionValue(options: readonly string[], name: string): string | undefined {
  return options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** A colon separates, a backslash takes the meaning from what follows it (overlayfs's own rule). */
function splitLowerDirectories(value: string): string[] {
  return [...value.matchAll(/(?:\\.|[^:\\])+/gs)].map(([path]) => unescapePath(path));
}

function unescapePath(path: string): string {
  return path.replaceAll(/\\(.)/gs, '$1');
}

function absolute(path: string): string {
  if (path.startsWith('/')) return path;
  throw cannot(`"${path}" is not an absolute path`, 'E_INVALIDARG');
}

function cannot(problem: string, code: 'E_INVALIDARG' | 'ERROR_NOT_SUPPORTED'): HcsError {
  return new HcsError({ action: 'Cannot read the layers of the snapshot', problem, code });
}
