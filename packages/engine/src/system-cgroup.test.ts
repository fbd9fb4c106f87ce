import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cgroupHierarchies, cgroupName, SystemCgroup } from './system-cgroup.ts';

describe('cgroup hierarchies', () => {
  it('are read from the mount table, bind mounts of a part of one left out', () => {
    const table = [
      '25 30 0:23 / /sys rw,nosuid - sysfs sysfs rw',
      '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
      '37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer',
      '38 31 0:34 /docker /other rw - cgroup cgroup rw,freezer',
      '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
    ].join('\n');
    assert.deepEqual(cgroupHierarchies(table), [
      { mountPoint: '/sys/fs/cgroup/cpu,cpuacct', version: 1, controllers: ['rw', 'cpu', 'cpuacct'] },
      { mountPoint: '/sys/fs/cgroup/freezer', version: 1, controllers: ['rw', 'freezer'] },
      { mountPoint: '/sys/fs/cgroup/unified', version: 2, controllers: [] },
    ]);
  });

  it('name a system by its id and the first digits of its GUID', () => {
    assert.equal(cgroupName('a@vm', '0123abcd-0000-4000-8000-000000000000'), '/hcsshim/a@vm-0123abcd');
  });
});

const isRoot = process.geteuid?.() === 0;
const all = cgroupHierarchies();
const version1 = all.filter(({ version }) => version === 1);
const version2 = all.filter(({ version }) => version === 2);

for (const [name, hierarchies] of [
  ['version 1', version1],
  ['version 2', version2],
] as const) {
  const skip = !isRoot
    ? 'cgroups need root'
    : hierarchies.length === 0
      ? `this host has no cgroups of ${name}`
      : false;

  describe(`a system's cgroup, ${name}`, { skip }, () => {
    it('freezes, thaws, kills and goes, with what others have made in it', async () => {
      const cgroup = new SystemCgroup(
        cgroupName(`test-${randomBytes(4).toString('hex')}`, '00000000'),
        hierarchies,
      );
      const child = spawn('sh', ['-c', 'while :; do echo; done'], { stdio: ['ignore', 'pipe', 'inherit'] });
      const gone = once(child, 'exit');
      try {
        cgroup.create();
        const pid = child.pid as number;
        await cgroup.enter(pid);
        assert.deepEqual(cgroup.processes(), [pid]);

        await cgroup.freeze();
        const ticks = processorTicks(pid);
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert.equal(processorTicks(pid), ticks);
        cgroup.thaw();
        child.stdout.resume();
        await once(child.stdout, 'data');

        const usage = cgroup.usage();
        assert.ok((usage.cpuNanoseconds ?? 0) > 0);

        // As an OCI runtime does with a container.
        const place = hierarchies[0]?.mountPoint as string;
        const container = join(place, cgroup.name, 'container');
        mkdirSync(join(container, 'inner'), { recursive: true });
        writeFileSync(join(container, 'inner', 'cgroup.procs'), String(pid));

        await cgroup.freeze();
        await cgroup.kill();
        const [, signal] = (await gone) as [unknown, string];
        assert.equal(signal, 'SIGKILL');
        await cgroup.remove();
        for (const { mountPoint } of hierarchies) assert.ok(!existsSync(join(mountPoint, cgroup.name)));
      } finally {
        child.kill('SIGKILL');
        await cgroup.kill();
        await cgroup.remove();
      }
    });

    it('that was never made kills nobody and goes without complaint', async () => {
      const cgroup = new SystemCgroup('/hcsshim/test-never', hierarchies);
      await cgroup.kill();
      await cgroup.remove();
      assert.deepEqual(cgroup.usage(), {});
    });
  });
}

function processorTicks(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ').slice(13, 15).join(' ');
}
