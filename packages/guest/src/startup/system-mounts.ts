import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { MountFlag, mount } from '@hcsshim/linux';
import { mountPoints } from '../storage/mount-table.ts';

interface SystemMount {
  target: string;
  type: string;
  flags?: number;
  data?: string;
}

const { noSuid, noDev, noExec } = MountFlag;

/** What a Linux system expects to find mounted, in the order of mounting. */
const systemMounts: SystemMount[] = [
  { target: '/proc', type: 'proc', flags: noSuid | noDev | noExec },
  { target: '/sys', type: 'sysfs', flags: noSuid | noDev | noExec },
  { target: '/dev', type: 'devtmpfs', flags: noSuid, data: 'mode=0755' },
  { target: '/dev/pts', type: 'devpts', flags: noSuid | noExec, data: 'mode=0620,ptmxmode=0666,gid=5' },
  { target: '/dev/shm', type: 'tmpfs', flags: noSuid | noDev, data: 'mode=1777' },
  { target: '/dev/mqueue', type: 'mqueue', flags: noSuid | noDev | noExec },
  { target: '/run', type: 'tmpfs', flags: noSuid | noDev, data: 'mode=0755' },
  { target: '/tmp', type: 'tmpfs', flags: noSuid | noDev, data: 'mode=1777' },
  { target: '/sys/fs/cgroup', type: 'cgroup2', flags: noSuid | noDev | noExec },
];

const cgroupRoot = '/sys/fs/cgroup';

/** Mounts what process 1 of a VM has to; what the initial RAM disk has mounted already stays. */
export function mountSystem(): void {
  for (const { target, type, flags = 0, data } of systemMounts) {
    // Without /proc nothing tells what is mounted, but then there is not even that.
    if (existsSync('/proc/self/mountinfo') && mountPoints().includes(target)) continue;
    mkdirSync(target, { recursive: true });
    try {
      mount(type, target, type, flags, data);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    }
  }
}

/**
 * The control groups of a VM, as upstream lays them out: the containers' share what the reserve leaves, so that
 * none of them can starve the agent, which has its own and the processor before all others.
 */
export function setUpCgroups(containers: string, options: { memoryReserveBytes: number }): void {
  const controllers = readFileSync(join(cgroupRoot, 'cgroup.controllers'), 'latin1').trim().split(' ');
  for (const controller of controllers) {
    writeFileSync(join(cgroupRoot, 'cgroup.subtree_control'), `+${controller}`);
  }
  const containersGroup = join(cgroupRoot, containers);
  mkdirSync(containersGroup, { recursive: true });
  const limit = Math.max(totalmem() - options.memoryReserveBytes, 0);
  if (limit > 0) writeFileSync(join(containersGroup, 'memory.max'), String(limit));

  const agentGroup = join(cgroupRoot, 'gcs');
  mkdirSync(agentGroup, { recursive: true });
  writeFileSync(join(agentGroup, 'cgroup.procs'), String(process.pid));
  writeFileSync(join(agentGroup, 'cpu.weight'), '10000');
}
