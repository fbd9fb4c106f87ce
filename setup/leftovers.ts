import { glob, readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';

/**
 * What is left on this machine of systems whose state is below `directory`: processes, mounts, loop devices,
 * cgroups, files. Empty when everything has been cleaned up.
 */
export async function findLeftovers(directory: string): Promise<string[]> {
  const found = await Promise.all([
    leftProcesses(directory),
    leftMounts(directory),
    leftLoopDevices(directory),
    leftCgroups(),
    leftFiles(directory),
  ]);
  return found.flat();
}

/** Waits until nothing is left, at most for `timeout` milliseconds; returns what then is. */
export async function waitForNoLeftovers(directory: string, timeout = 10_000): Promise<string[]> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const left = await findLeftovers(directory);
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Our processes carry the state directory in their environment, whatever they are called. */
async function leftProcesses(directory: string): Promise<string[]> {
  const mark = `HCSSHIM_STATE=${directory}\0`;
  const left: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (!`${environment}\0`.includes(mark)) continue;
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''))
      .replaceAll('\0', ' ')
      .trim();
    // containerd carries it too, to hand it to its shims.
    if (/^(\S*\/)?(containerd|ctr)( |$)/.test(command)) continue;
    left.push(`process ${pid}: ${command.slice(0, 200)}`);
  }
  return left;
}

async function leftMounts(directory: string): Promise<string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${directory}/`) || target.startsWith('/run/gcs/'))
    .map((target) => `mount ${target}`);
}

async function leftLoopDevices(directory: string): Promise<string[]> {
  const left: string[] = [];
  for await (const path of glob('/sys/block/loop*/loop/backing_file')) {
    const file = (await readFile(path, 'utf8').catch(() => '')).trim();
    const ours = file.includes('/hcsshim/') || file.includes('hcsshim-');
    const device = `/dev/${path.split('/')[3]}`;
    if (file.startsWith(`${directory}/`) || (ours && !(await isInUse(device))))
      left.push(`loop device of ${file}`);
  }
  return left;
}

/** True when a process has the device open, or mounted where we do not see it: then its system lives. */
async function isInUse(device: string): Promise<boolean> {
  const namespace = await readlink('/proc/self/ns/mnt');
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const open = await Promise.all(files.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
    if (open.includes(device)) return true;
    if ((await readlink(`/proc/${pid}/ns/mnt`).catch(() => namespace)) === namespace) continue;
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
    if (mounts.includes(` ${device} `)) return true;
  }
  return false;
}

/** A cgroup of ours without a process: that of a living system has its agent in it, in some hierarchy. */
async function leftCgroups(): Promise<string[]> {
  const processes = new Map<string, string>();
  const paths: string[] = [];
  for await (const path of glob([
    '/sys/fs/cgroup/*/hcsshim/*/**/cgroup.procs',
    '/sys/fs/cgroup/hcsshim/*/**/cgroup.procs',
  ])) {
    const [, cgroup, name] = /^(.*\/hcsshim\/([^/]+))/.exec(path) as unknown as [string, string, string];
    const pids = await readFile(path, 'utf8').catch(() => 'gone');
    processes.set(name, (processes.get(name) ?? '') + pids);
    paths.push(cgroup);
  }
  return [...new Set(paths)]
    .filter((path) => processes.get(basename(path)) === '')
    .map((path) => `cgroup ${path}`);
}

async function leftFiles(directory: string): Promise<string[]> {
  const left: string[] = [];
  for (const folder of ['systems', 'containers', 's', 'm', 'c']) {
    for (const name of await readdir(`${directory}/${folder}`).catch(() => []))
      left.push(`${directory}/${folder}/${name}`);
  }
  return left;
}
