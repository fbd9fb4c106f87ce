import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programs, root } from '../../setup/prepare.ts';
import { writeDeep, writeFewLarge, writeManySmall } from './archives.ts';
import type { Comparison } from './measure.ts';
import { costsInTurns, type ProcessCost } from './process-cost.ts';

/** The release of upstream that is compared with. */
const upstreamVersion = 'v0.13.0';
const rounds = 5;
const kib = 1024;
const mib = 1024 * kib;
/** Members of the archives, see archives.ts. */
const members = { 'many-small': 67_700, deep: 50_400 };

/**
 * Upstream's `tar2ext4`, built with Go 1.19 on two cores of an AMD EPYC; cp took 0.57 s for the 2.15 GB of few-large there. In
 * seconds. For machines without Go.
 */
const recorded = { cp: 0.57, 'many-small': 2.55, deep: 2.32 };

/** Making disks of archives, and hash trees, against upstream's program, cp and veritysetup. */
export async function ext4Comparisons(): Promise<Comparison[]> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-bench-'));
  try {
    const upstream = await buildUpstream(join(directory, 'go'));
    const path = (name: string): string => join(directory, name);
    const ours = (archive: string): string =>
      `${join(programs, 'tar2ext4')} -i ${archive} -o ${path('ours.img')}`;
    const theirs = (input: string): string => `${upstream} ${input} -o ${path('theirs.img')}`;
    const removal = `rm -f ${path('*.img')} ${path('copy')}`;
    const comparisons: Comparison[] = [];

    writeFewLarge(path('few-large.tar'));
    const [large, copy] = (await costsInTurns(
      rounds,
      [ours(path('few-large.tar')), `cp ${path('few-large.tar')} ${path('copy')}`],
      removal,
    )) as [ProcessCost, ProcessCost];
    comparisons.push(compare('tar2ext4, 8 files of 256 MiB, cpu', large.cpu, copy.cpu, 'cp', 1.3));
    await rm(path('copy'), { force: true });
    await rm(path('few-large.tar'));

    for (const [name, write] of [
      ['many-small', writeManySmall],
      ['deep', writeDeep],
    ] as const) {
      const archive = path(`${name}.tar`);
      write(archive);
      const commands = [ours(archive), ...(upstream ? [theirs(`-i ${archive}`)] : [])];
      const [mine, reference] = await costsInTurns(rounds, commands, removal);
      const cpu = reference?.cpu ?? (recorded[name] * copy.cpu) / recorded.cp;
      const against = reference ? 'upstream' : 'upstream (recorded, scaled by cp)';
      comparisons.push(compare(`tar2ext4, ${name}, cpu`, mine?.cpu ?? NaN, cpu, against, 0.5));
      const perMember = ((mine?.peakMemory ?? NaN) - large.peakMemory) / members[name];
      comparisons.push({
        name: `tar2ext4, ${name}, memory of a member`,
        ours: `${perMember.toFixed(0)} B, ${((mine?.peakMemory ?? NaN) / mib).toFixed(0)} MiB in all`,
        reference: `${(large.peakMemory / mib).toFixed(0)} MiB for 8 members of 2 GiB`,
        aim: '≤ 1024 B',
        reached: perMember <= 1024,
      });
    }

    const rootfs = join(root, 'out/rootfs.tar.gz');
    if (upstream) {
      const [mine, reference] = (await costsInTurns(
        rounds,
        [ours(rootfs), `gzip -dc ${rootfs} | ${theirs('')}`],
        removal,
      )) as [ProcessCost, ProcessCost];
      comparisons.push(
        compare('tar2ext4, rootfs.tar.gz, wall', mine.wall, reference.wall, 'gzip -dc | upstream', 0.7),
      );
    }
    comparisons.push(...(await verityComparisons(path)));
    return comparisons;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function verityComparisons(path: (name: string) => string): Promise<Comparison[]> {
  if (spawnSync('veritysetup', ['--version']).status !== 0) return [];
  writeFewLarge(path('few-large.tar'));
  spawnSync(join(programs, 'tar2ext4'), ['-i', path('few-large.tar'), '-o', path('data.img')]);
  await rm(path('few-large.tar'));
  const node = `${process.execPath} --disable-warning=ExperimentalWarning`;
  const salt = '00'.repeat(32);
  const [mine, reference] = (await costsInTurns(rounds, [
    `${node} ${join(root, 'test/bench/verity-tree.ts')} ${path('data.img')} ${path('ours.hash')}`,
    `veritysetup format --salt=${salt} ${path('data.img')} ${path('theirs.hash')}`,
  ])) as [ProcessCost, ProcessCost];
  return [
    compare('dm-verity of 2 GB, cpu', mine.cpu, reference.cpu, 'veritysetup', 0.6),
    compare('dm-verity of 2 GB, wall', mine.wall, reference.wall, 'veritysetup', 0.4),
  ];
}

function compare(name: string, ours: number, reference: number, what: string, aim: number): Comparison {
  const ratio = ours / reference;
  return {
    name,
    ours: `${ours.toFixed(2)} s`,
    reference: `${reference.toFixed(2)} s of ${what}`,
    ratio,
    aim: `≤ ${aim}×`,
    reached: ratio <= aim,
  };
}

/** Path of upstream's program, built from Go's module proxy; undefined where there is no Go, or no way to the proxy. */
async function buildUpstream(directory: string): Promise<string | undefined> {
  await mkdir(directory);
  await writeFile(join(directory, 'go.mod'), 'module bench\n\ngo 1.21\n');
  const go = (...args: string[]): void => {
    spawnSync('go', args, { cwd: directory, stdio: 'ignore' });
  };
  go('get', `github.com/Microsoft/hcsshim@${upstreamVersion}`);
  go('build', '-o', 'tar2ext4', 'github.com/Microsoft/hcsshim/cmd/tar2ext4');
  const program = join(directory, 'tar2ext4');
  return existsSync(program) ? program : undefined;
}
