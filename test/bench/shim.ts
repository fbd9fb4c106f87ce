import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { programs } from '../../setup/prepare.ts';
import { type Comparison, inTurns } from './measure.ts';

const run = promisify(execFile);
const rounds = 15;
const mib = 1024 * 1024;

/** What the shim's start costs, and what it holds when idle. */
export async function shimComparisons(): Promise<Comparison[]> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-bench-'));
  const daemons: number[] = [];
  try {
    const environment = {
      ...process.env,
      HCSSHIM_STATE: join(directory, 'state'),
      // A shim for sandboxes begins to start one at once: here a shim is measured, not a system.
      HCSSHIM_ENGINE: 'qemu',
    };
    let count = 0;
    const start = async (): Promise<void> => {
      const id = `bench-${++count}`;
      const bundle = join(directory, id);
      await mkdir(bundle);
      await writeFile(join(bundle, 'config.json'), '{"ociVersion":"1.0.2"}');
      const flags = [
        '-namespace',
        'bench',
        '-address',
        '/nowhere.sock',
        '-publish-binary',
        '/bin/true',
        '-id',
        id,
      ];
      const { stdout } = await run(join(programs, 'containerd-shim-runhcs-v1'), [...flags, 'start'], {
        cwd: bundle,
        env: environment,
      });
      if (!stdout.startsWith('unix://'))
        throw new Error(`Cannot use the figure: the shim printed "${stdout}"`);
      daemons.push(Number(await readFile(join(bundle, 'shim.pid'), 'utf8')));
    };
    const empty = join(directory, 'empty.cjs');
    await writeFile(empty, '');
    const times = await inTurns(rounds, start, () => run(process.execPath, [empty]));
    const ratio = times.ours / times.reference;
    await sleep(1_000);
    const memory = await privateDirty(daemons.at(-1) as number);
    return [
      {
        name: 'shim start → address printed',
        ours: `${times.ours.toFixed(0)} ms`,
        reference: `${times.reference.toFixed(0)} ms for an empty Node script`,
        ratio,
        aim: '≤ 2.5×',
        reached: ratio <= 2.5,
      },
      {
        name: 'shim idle, private dirty memory',
        ours: `${(memory / mib).toFixed(1)} MiB`,
        reference: '20 MiB',
        ratio: memory / (20 * mib),
        aim: '≤ 20 MiB',
        reached: memory <= 20 * mib,
      },
    ];
  } finally {
    for (const pid of daemons) process.kill(pid, 'SIGKILL');
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function privateDirty(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Private_Dirty:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024;
}
