/** A mount as a containerd snapshotter hands it over. */
export interface SnapshotMount {
  type: string;
  source: string;
  options: readonly string[];
}

export interface SnapshotDirectories {
  /** Read-only directories, the topmost first. */
  lower: string[];
  /** The writable directory, when there is one. */
  upper?: string;
}

/**
 * The directories behind a snapshot's mounts. Knows containerd's overlayfs snapshotter (an overlay, or a bind of a
 * single layer) and the native one (a bind). Throws for anything else.
 */
export function snapshotDirectories(mounts: readonly SnapshotMount[]): SnapshotDirectories {
  const [mount] = mounts;
  if (!mount || mounts.length > 1) {
    throw new Error(`Cannot use the root file system: it has ${mounts.length} mounts, one is expected`);
  }
  if (mount.type === 'bind' || mount.options.includes('bind') || mount.options.includes('rbind')) {
    return mount.options.includes('ro') ? { lower: [mount.source] } : { lower: [], upper: mount.source };
  }
  if (mount.type !== 'overlay') {
    throw new Error(
      `Cannot use the root file system: a mount of type "${mount.type}", an overlay or bind mount is expected`,
    );
  }
  const lower = option(mount, 'lowerdir');
  const upper = option(mount, 'upperdir');
  if (lower === undefined)
    throw new Error('Cannot use the root file system: the overlay mount has no lowerdir');
  return { lower: splitPaths(lower), ...(upper === undefined ? {} : { upper: unescapePath(upper) }) };
}

function option(mount: SnapshotMount, name: string): string | undefined {
  return mount.options.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Splits at colons; `\:` is a colon in a path. */
function splitPaths(value: string): string[] {
  return (value.match(/(?:\\.|[^:\\])+/g) ?? []).map(unescapePath);
}

function unescapePath(path: string): string {
  return path.replaceAll(/\\(.)/g, '$1');
}
