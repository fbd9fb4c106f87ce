import { HcsError } from '@hcsshim/hcs';
import type { OciMount, OciSpec } from '@hcsshim/schema';

/** Mount types that the guest's kernel serves by itself, with nothing of the host behind them. */
const guestMountTypes = new Set(['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2']);

/**
 * A spec as a host tool wrote it becomes one that makes sense in a guest: hooks, cgroup paths, devices and
 * limits that name the host's things are dropped (upstream `internal/hcsoci/hcsdoc_lcow.go`), the root is
 * where the guest has combined the layers.
 */
export function guestSpec(spec: OciSpec, id: string, rootPath: string): OciSpec {
  const { hooks: _hooks, windows, ...kept } = spec;
  const { cgroupsPath: _cgroupsPath, resources, devices: _devices, ...linux } = spec.linux ?? {};
  const {
    devices: _deviceRules,
    pids: _pids,
    blockIO: _blockIo,
    hugepageLimits: _hugepages,
    network: _network,
    ...guestResources
  } = resources ?? {};
  return {
    ...kept,
    ...networkNamespaceOf(windows),
    root: { path: rootPath, readonly: spec.root?.readonly ?? false },
    mounts: (spec.mounts ?? []).filter((mount) => isGuestMount(mount, id)),
    linux: {
      ...linux,
      resources: guestResources,
      namespaces: (spec.linux?.namespaces ?? [])
        // A path names a namespace of the host; the guest makes its own.
        .map(({ type }) => ({ type })),
    },
  };
}

/** The one thing of a Windows section that an agent reads: which network namespace of the VM the container joins. */
function networkNamespaceOf(windows: OciSpec['windows']): Pick<OciSpec, 'windows'> {
  const network = windows?.network as { networkNamespace?: string } | undefined;
  return network?.networkNamespace
    ? { windows: { network: { networkNamespace: network.networkNamespace } } }
    : {};
}

function isGuestMount(mount: OciMount, id: string): boolean {
  if (mount.type !== undefined && guestMountTypes.has(mount.type)) return true;
  throw new HcsError({
    action: `Cannot mount "${mount.source ?? ''}" at "${mount.destination}" in container "${id}"`,
    problem: `a mount of type "${mount.type ?? 'bind'}" shares the host's files, which is not supported yet; leave it out or copy the files into the image`,
    code: 'ERROR_NOT_SUPPORTED',
  });
}
