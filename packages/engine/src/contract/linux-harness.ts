import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ContractHarness, ForeignOwner } from '@hcsshim/hcs/contract';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { createLinuxComputeService } from '../linux-compute-service.ts';
import { StateDirectory } from '../state-directory.ts';
import { cgroupHierarchies } from '../system-cgroup.ts';
import type { ForeignOwnerRequest } from './foreign-owner.ts';
import { createMonitorKind, type MonitorChoice } from './monitor-choice.ts';

const diskBytes = 1024 * 1024;
const ownerProgram = new URL('./foreign-owner.ts', import.meta.url).pathname;

/** The engine under test, with a state directory of its own. */
export async function openLinuxHarness(
  monitor: MonitorChoice,
  document: ComputeSystemDocument,
): Promise<ContractHarness> {
  const root = await mkdtemp(join(tmpdir(), 'hcs-'));
  const state = new StateDirectory(root);
  const service = createLinuxComputeService({
    monitor: createMonitorKind(monitor),
    stateDirectory: root,
    log: (message) => console.error(message),
  });
  const prefix = `contract-${randomBytes(3).toString('hex')}`;
  let disks = 0;
  return {
    compute: service.compute,
    sockets: service.sockets,
    id: (name) => `${prefix}-${name}`,
    document: (changes = {}) => ({ ...document, ...changes }),
    createDisk: async () => {
      const path = join(root, `disk${disks++}.vhd`);
      await writeVhd(path, diskBytes);
      return path;
    },
    killMonitor: async (id) => {
      const pid = (await state.read(id))?.processes.at(-1)?.pid;
      if (pid === undefined) throw new Error(`Cannot kill the monitor of "${id}": none is recorded`);
      process.kill(pid, 'SIGKILL');
    },
    createElsewhere: (id, foreign) =>
      startForeignOwner({ monitor, stateDirectory: root, id, document: foreign }),
    sweep: async () => (await service.sweep()).map(({ id }) => id),
    leftovers: async () => findLeftovers(root, prefix),
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await service.sweep();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A VHD of zeros, a fixed one unless another type is asked for. */
export async function writeVhd(path: string, bytes: number, diskType?: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, bytes);
  await appendVhdFooter(path, diskType);
}

/** Makes a disk image a VHD: appends a footer, whose fields are those that the engine reads. */
export async function appendVhdFooter(path: string, diskType = 2): Promise<void> {
  const footer = Buffer.alloc(512);
  footer.write('conectix', 'latin1');
  footer.writeBigUInt64BE(BigInt((await stat(path)).size), 48);
  footer.writeUInt32BE(diskType, 60);
  await appendFile(path, footer);
}

async function startForeignOwner(request: ForeignOwnerRequest): Promise<ForeignOwner> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ownerProgram, JSON.stringify(request)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const gone = once(child, 'close');
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, 'line'), gone])) as [unknown];
  if (line !== 'ready')
    throw new Error(`The owner of "${request.id}" ended with ${line} before it was ready`);
  return {
    pid: child.pid as number,
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await gone;
    },
  };
}

/** Everything on this host that belongs to systems whose state is below `root`, or whose ids begin with `prefix`. */
function findLeftovers(root: string, prefix: string): string[] {
  const processes = names('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => [root, prefix].some((word) => contents(`/proc/${pid}/cmdline`).includes(word)))
    .map((pid) => `process ${pid}: ${contents(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`);
  const mounts = contents('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line.includes(root));
  const loops = names('/sys/block')
    .filter((name) => contents(`/sys/block/${name}/loop/backing_file`).startsWith(root))
    .map((name) => `loop device ${name}`);
  const files = ['systems', 'm', 'c'].flatMap((directory) =>
    names(join(root, directory)).map((name) => `file ${join(root, directory, name)}`),
  );
  const cgroups = cgroupHierarchies().flatMap(({ mountPoint }) =>
    names(join(mountPoint, 'hcsshim'))
      .filter((name) => name.startsWith(prefix))
      .map((name) => `cgroup ${join(mountPoint, 'hcsshim', name)}`),
  );
  return [...processes, ...mounts.map((line) => `mount ${line}`), ...loops, ...files, ...cgroups];
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function contents(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
