import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from 'hcsshim';
import { root } from '../../setup/prepare.ts';
import { type Comparison, median, timed } from './measure.ts';

const rounds = 3;

/** A VM from a template against a cold one, and a cold one against the bare kernel, under emulation. */
export async function vmStartComparisons(): Promise<Comparison[]> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-bench-'));
  process.env.HCSSHIM_STATE = join(directory, 'state');
  process.env.HCSSHIM_CACHE = join(directory, 'cache');
  try {
    const bare = await several(bareKernelToInit);
    const cold = await several(() => firstAnswer(false));
    // The first start makes the template.
    await firstAnswer(true);
    const clone = await several(() => firstAnswer(true));
    return [
      {
        name: 'VM from template to first answer',
        ours: `${clone.toFixed(0)} ms`,
        reference: `${cold.toFixed(0)} ms booted cold`,
        ratio: clone / cold,
        aim: '≤ 0.2×',
        reached: clone / cold <= 0.2,
      },
      {
        name: 'cold boot to first answer',
        ours: `${cold.toFixed(0)} ms`,
        reference: `${bare.toFixed(0)} ms from QEMU to /init of a bare kernel`,
        ratio: cold / bare,
        aim: '≤ 3×',
        reached: cold / bare <= 3,
      },
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function several(work: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(await work());
  return median(times);
}

/** From nothing to an agent that has answered, in milliseconds. */
async function firstAnswer(templates: boolean): Promise<number> {
  await using platform = await openPlatform({ engine: 'qemu', accelerator: 'tcg', templates });
  // Awaited here: the platform must not be disposed before it is done.
  return await timed(async () => {
    const vm = await platform.createLinuxVm({ id: `bench-${Date.now()}` });
    await vm.guest.dumpStacks();
  });
}

/** QEMU with the same kernel and initial RAM disk and no root disk, until the kernel has started /init. */
async function bareKernelToInit(): Promise<number> {
  return timed(async () => {
    const child = spawn(
      'qemu-system-x86_64',
      [
        ...[
          '-nodefaults',
          '-no-user-config',
          '-display',
          'none',
          '-no-reboot',
          '-M',
          'q35',
          '-accel',
          'tcg',
          '-cpu',
          'max',
          '-m',
          '256',
        ],
        ...['-kernel', join(root, 'out/vmlinux'), '-initrd', join(root, 'out/initrd.img')],
        ...['-append', 'console=ttyS0 panic=-1', '-serial', 'stdio'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      let output = '';
      for await (const chunk of child.stdout) {
        output += chunk;
        if (output.includes('Run /init as init process')) return;
      }
      throw new Error(`Cannot time the bare kernel: it ended before /init: ${output.slice(-500)}`);
    } finally {
      child.kill('SIGKILL');
    }
  });
}
