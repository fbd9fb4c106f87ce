import { mkdir } from 'node:fs/promises';
import { hostname as vmHostname } from 'node:os';
import { join } from 'node:path';
import { HcsError, type OciProcess, type OciSpec } from '@hcsshim/schema';
import { checkHostname, writeNetworkFiles } from './network-files.ts';
import { resolveUser } from './user.ts';

export interface SpecPlace {
  id: string;
  /** The container's own directory, which becomes its bundle: `/run/gcs/c/<id>`. */
  directory: string;
  /** Below it the container's cgroup is made. */
  cgroupParent: string;
}

type SpecSetup = (spec: OciSpec, place: SpecPlace) => Promise<OciSpec>;

const containerTypeAnnotation = 'io.kubernetes.cri.container-type';

/** How the spec of each type of container is set up; `standalone` is one without the annotation. */
const setups: Record<string, SpecSetup> = {
  standalone: setUpStandalone,
};

/**
 * What the host sent becomes what the OCI runtime gets, in upstream's order: files of its own, the user's ids
 * from the container's passwd, its cgroup; what only the host understands is left out.
 */
export async function setUpSpec(spec: OciSpec, place: SpecPlace): Promise<OciSpec> {
  const type = spec.annotations?.[containerTypeAnnotation] ?? 'standalone';
  const setup = Object.hasOwn(setups, type) ? setups[type] : undefined;
  if (!setup) {
    throw new HcsError({
      action: `Cannot create container "${place.id}"`,
      problem: `containers of type "${type}" are not supported by this agent, only those outside of pods`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  return setup(spec, place);
}

async function setUpStandalone(spec: OciSpec, { id, directory, cgroupParent }: SpecPlace): Promise<OciSpec> {
  const { windows: _windows, ...kept } = spec;
  checkHostname(spec.hostname ?? '');
  const hostname = spec.hostname || vmHostname();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const networkMounts = await writeNetworkFiles(directory, spec, hostname);
  const process = spec.process && (await withUserIds(spec.process, spec.root?.path ?? ''));
  const namespaces = spec.linux?.namespaces ?? [];
  const { hostname: _hostname, ...nameless } = kept;
  return {
    ...nameless,
    // A name needs a namespace to be valid in.
    ...(namespaces.some(({ type }) => type === 'uts') ? { hostname } : {}),
    mounts: [...(spec.mounts ?? []), ...networkMounts],
    ...(process ? { process } : {}),
    linux: {
      ...spec.linux,
      cgroupsPath: join(cgroupParent, id),
      // The path of a network namespace is the host's.
      namespaces: namespaces.map((namespace) =>
        namespace.type === 'network' ? { type: 'network' } : namespace,
      ),
    },
  };
}

/** A user that is given by name gets the ids that the container's own files say. */
export async function withUserIds(process: OciProcess, rootPath: string): Promise<OciProcess> {
  const { username, ...user } = process.user;
  if (!username) return { ...process, user: { uid: 0, gid: 0, ...user } };
  return { ...process, user: { ...user, ...(await resolveUser(rootPath, username)) } };
}
