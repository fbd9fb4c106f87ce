import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A mounted cgroup hierarchy: each controller has its own in version 1, all share one in version 2. */
export interface CgroupHierarchy {
  mountPoint: string;
  version: 1 | 2;
  controllers: string[];
}

const pollInterval = 2;

/** How long processes that were killed may take to leave their cgroups. In milliseconds. */
const killTimeout = 10_000;

/** The cgroup of a system, the same below each hierarchy's mount. */
export function cgroupName(id: string, runtimeId: string): string {
  return `/hcsshim/${id}-${runtimeId.slice(0, 8)}`;
}

/** The hierarchies that this process sees. Source of the format: proc(5), `/proc/[pid]/mountinfo`. */
export function cgroupHierarchies(
  mountInfo: string = readFileSync('/proc/self/mountinfo', 'utf8'),
): CgroupHierarchy[] {
  return mountInfo.split('\n').flatMap((line): CgroupHierarchy[] => {
    const [mount, superBlock] = line.split(' - ');
    const [, , , root, mountPoint] = mount?.split(' ') ?? [];
    const [type, , options] = superBlock?.split(' ') ?? [];
    if (root !== '/' || mountPoint === undefined) return [];
    if (type === 'cgroup') return [{ mountPoint, version: 1, controllers: options?.split(',') ?? [] }];
    if (type === 'cgroup2') return [{ mountPoint, version: 2, controllers: [] }];
    return [];
  });
}

/**
 * The control groups of one system: its agent in the leaf `agent`, its containers beside that. With them the
 * whole system is frozen, measured and killed, whatever its processes do.
 *
 * Version 1 where the host has a version 1 freezer, else version 2.
 */
export class SystemCgroup {
  readonly name: string;
  readonly #all: CgroupHierarchy[];
  readonly #freezer: CgroupHierarchy | undefined;
  readonly #used: CgroupHierarchy[];

  constructor(name: string, hierarchies: CgroupHierarchy[] = cgroupHierarchies()) {
    this.name = name;
    this.#all = hierarchies;
    this.#freezer =
      withController(hierarchies, 'freezer') ?? hierarchies.find(({ version }) => version === 2);
    const others = ['cpuacct', 'memory'].map((controller) => withController(hierarchies, controller));
    this.#used =
      this.#freezer?.version === 1
        ? [...new Set([this.#freezer, ...others.filter((other) => other !== undefined)])]
        : this.#freezer
          ? [this.#freezer]
          : [];
  }

  /** False on a host without cgroups. */
  get canFreeze(): boolean {
    return this.#freezer !== undefined;
  }

  create(): void {
    for (const hierarchy of this.#used) {
      mkdirSync(join(hierarchy.mountPoint, this.name, 'agent'), { recursive: true });
      if (hierarchy.version === 2) delegateControllers(hierarchy, this.name);
    }
  }

  /**
   * Moves a process into the leaf `agent`; one that is gone already is no error. The kernel may take tens of
   * milliseconds for it, so this does not block.
   */
  async enter(pid: number): Promise<void> {
    for (const { mountPoint } of this.#used) {
      try {
        await writeFile(join(mountPoint, this.name, 'agent', 'cgroup.procs'), String(pid));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }

  /** Pids of all processes below this cgroup, in any hierarchy. */
  processes(): number[] {
    const pids = this.#all.flatMap(({ mountPoint }) =>
      subtree(join(mountPoint, this.name)).flatMap((directory) =>
        readOrEmpty(join(directory, 'cgroup.procs')).split('\n').filter(Boolean).map(Number),
      ),
    );
    return [...new Set(pids)];
  }

  /** Resolves when no process of the system runs any more. */
  async freeze(signal?: AbortSignal): Promise<void> {
    this.#setFrozen(true);
    while (!this.#isFrozen()) await sleep(pollInterval, undefined, signal ? { signal } : {});
  }

  thaw(): void {
    this.#setFrozen(false);
  }

  /** What the system has used, or undefined where the host does not count it. */
  usage(): { cpuNanoseconds?: number; memoryBytes?: number } {
    const read = (controller: string, file: string): number | undefined => {
      const hierarchy = withController(this.#used, controller);
      return hierarchy && optionalNumber(readOrEmpty(join(hierarchy.mountPoint, this.name, file)));
    };
    const version2 = this.#used.find(({ version }) => version === 2);
    const statistics = version2
      ? {
          cpuNanoseconds: cpuStatNanoseconds(readOrEmpty(join(version2.mountPoint, this.name, 'cpu.stat'))),
          memoryBytes: optionalNumber(readOrEmpty(join(version2.mountPoint, this.name, 'memory.current'))),
        }
      : {
          cpuNanoseconds: read('cpuacct', 'cpuacct.usage'),
          memoryBytes: read('memory', 'memory.usage_in_bytes'),
        };
    return {
      ...(statistics.cpuNanoseconds === undefined ? {} : { cpuNanoseconds: statistics.cpuNanoseconds }),
      ...(statistics.memoryBytes === undefined ? {} : { memoryBytes: statistics.memoryBytes }),
    };
  }

  /** Kills all processes below this cgroup; resolves when they have gone. */
  async kill(): Promise<void> {
    const deadline = Date.now() + killTimeout;
    for (;;) {
      // A frozen process of version 1 dies only once it is thawed.
      this.thaw();
      const pids = this.processes().filter((pid) => pid !== process.pid);
      if (pids.length === 0) return;
      if (Date.now() > deadline) {
        throw new Error(
          `Cannot end the processes of cgroup "${this.name}": ${pids.join(', ')} survived SIGKILL for ${killTimeout / 1000} s`,
        );
      }
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
        }
      }
      await sleep(pollInterval);
    }
  }

  /** Removes the cgroup from every hierarchy, with those that the containers' runtime made below it. */
  async remove(): Promise<void> {
    const deadline = Date.now() + killTimeout;
    for (const { mountPoint } of this.#all) {
      for (const directory of subtree(join(mountPoint, this.name)).reverse()) {
        while (!removed(directory)) {
          if (Date.now() > deadline) throw new Error(`Cannot remove cgroup "${directory}": it is busy`);
          await sleep(pollInterval);
        }
      }
    }
  }

  #setFrozen(frozen: boolean): void {
    if (!this.#freezer) return;
    const directory = join(this.#freezer.mountPoint, this.name);
    const [file, value] =
      this.#freezer.version === 1
        ? ['freezer.state', frozen ? 'FROZEN' : 'THAWED']
        : ['cgroup.freeze', frozen ? '1' : '0'];
    try {
      writeFileSync(join(directory, file), value);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || frozen) throw error;
    }
  }

  #isFrozen(): boolean {
    if (!this.#freezer) return false;
    const directory = join(this.#freezer.mountPoint, this.name);
    return this.#freezer.version === 1
      ? readFileSync(join(directory, 'freezer.state'), 'latin1').trim() === 'FROZEN'
      : /^frozen 1$/m.test(readFileSync(join(directory, 'cgroup.events'), 'latin1'));
  }
}

function withController(hierarchies: CgroupHierarchy[], controller: string): CgroupHierarchy | undefined {
  return hierarchies.find(({ controllers }) => controllers.includes(controller));
}

/** Lets containers have limits: a version 2 controller counts only where every ancestor passes it on. */
function delegateControllers({ mountPoint }: CgroupHierarchy, name: string): void {
  const available = readOrEmpty(join(mountPoint, 'cgroup.controllers')).trim().split(' ').filter(Boolean);
  const request = available.map((controller) => `+${controller}`).join(' ');
  if (request === '') return;
  const parts = name.split('/').filter(Boolean);
  for (let depth = 0; depth <= parts.length; depth++) {
    try {
      writeFileSync(join(mountPoint, ...parts.slice(0, depth), 'cgroup.subtree_control'), request);
    } catch {
      // The host keeps a controller to itself: containers go without that limit.
    }
  }
}

/** A directory and all below it, parents first; empty when there is none. */
function subtree(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
  return [directory, ...names.flatMap((name) => subtree(join(directory, name)))];
}

/** False while the cgroup is busy: a process that has died stays a member until it is reaped. */
function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'EBUSY') return false;
    throw error;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function optionalNumber(text: string): number | undefined {
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

function cpuStatNanoseconds(text: string): number | undefined {
  const [, microseconds] = /^usage_usec (\d+)$/m.exec(text) ?? [];
  return microseconds === undefined ? undefined : Number(microseconds) * 1000;
}
