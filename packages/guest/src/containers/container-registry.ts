import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContainerConfig, HcsError } from '@hcsshim/schema';
import { Container, type ContainerServices } from './container.ts';
import { setUpSpec } from './container-spec.ts';
import { networkFileNames } from './network-files.ts';

/** The containers of the guest by id. An id is taken from the moment its creation begins. */
export class ContainerRegistry {
  readonly #services: ContainerServices;
  readonly #cgroupParent: string;
  readonly #containers = new Map<string, Container | 'creating'>();

  constructor(services: ContainerServices, { cgroupParent }: { cgroupParent: string }) {
    this.#services = services;
    this.#cgroupParent = cgroupParent;
  }

  /** Throws HCS_E_SYSTEM_ALREADY_EXISTS. A failure leaves nothing behind. */
  async create(id: string, config: ContainerConfig): Promise<Container> {
    const action = `Cannot create container "${id}"`;
    if (!/^[\w.-]+$/.test(id) || /^\.+$/.test(id)) {
      throw new HcsError({
        action,
        problem: 'an id may have letters, digits, "-", "_" and "."',
        code: 'E_INVALIDARG',
      });
    }
    const { OciSpecification: spec } = config;
    if (!spec?.process || !spec.root?.path) {
      throw new HcsError({
        action,
        problem: 'its OciSpecification must have a process and a root path',
        code: 'E_INVALIDARG',
      });
    }
    if (this.#containers.has(id)) {
      throw new HcsError({
        action,
        problem: 'there is one with this id, delete it or choose another',
        code: 'HCS_E_SYSTEM_ALREADY_EXISTS',
      });
    }
    const bundle = config.OciBundlePath || join('/run/gcs/c', id);
    this.#containers.set(id, 'creating');
    try {
      const guestSpec = await setUpSpec(spec, { id, directory: bundle, cgroupParent: this.#cgroupParent });
      await mkdir(bundle, { recursive: true, mode: 0o700 });
      await writeFile(join(bundle, 'config.json'), JSON.stringify(guestSpec), { mode: 0o600 });
      const container = new Container(this.#services, {
        id,
        bundle,
        spec: guestSpec,
        scratch: config.ScratchDirPath ?? '',
      });
      this.#containers.set(id, container);
      return container;
    } catch (error) {
      this.#containers.delete(id);
      await removeBundleFiles(bundle);
      throw error;
    }
  }

  /** Throws HCS_E_SYSTEM_NOT_FOUND, or HCS_E_INVALID_STATE while the container is being created. */
  get(id: string): Container {
    const container = this.#containers.get(id);
    if (container instanceof Container) return container;
    throw new HcsError({
      action: `Cannot use container "${id}"`,
      problem: container ? 'it is still being created' : 'there is none with this id',
      code: container ? 'HCS_E_INVALID_STATE' : 'HCS_E_SYSTEM_NOT_FOUND',
    });
  }

  /** False once it has been deleted. */
  has(container: Container): boolean {
    return this.#containers.get(container.id) === container;
  }

  /** Forgets the container even when its removal fails. */
  async delete(id: string): Promise<void> {
    const container = this.get(id);
    this.#containers.delete(id);
    await container.delete();
  }

  /** Deletes all containers, for the end of the VM. */
  async deleteAll(): Promise<void> {
    const containers = [...this.#containers.values()].filter((container) => container !== 'creating');
    this.#containers.clear();
    await Promise.allSettled(containers.map((container) => container.delete()));
  }
}

/** What creation wrote. The host may have mounted layers in the same directory: those are the host's to take back. */
async function removeBundleFiles(bundle: string): Promise<void> {
  for (const name of ['config.json', ...networkFileNames]) await rm(join(bundle, name), { force: true });
  await rmdir(bundle).catch(() => {});
}
