import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBusyboxImage, busyboxImageName } from '../../setup/containerd/busybox-image.ts';
import { PrivateContainerd } from '../../setup/containerd/private-containerd.ts';
import { programs } from '../../setup/prepare.ts';
import { type Comparison, inTurns, timed } from './measure.ts';

const runhcs = 'io.containerd.runhcs.v1';
const runc = 'io.containerd.runc.v2';
const rounds = 15;

/** `ctr run`, `ctr task exec` and bulk output, on the sandbox engine, against containerd's runc shim. */
export async function containerComparisons(): Promise<Comparison[]> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-bench-'));
  try {
    const state = join(directory, 'state');
    await mkdir(state, { mode: 0o700 });
    await using containerd = await PrivateContainerd.start({
      path: [programs],
      environment: { HCSSHIM_ENGINE: 'sandbox', HCSSHIM_STATE: state },
    });
    const image = join(directory, 'busybox.tar');
    await writeFile(image, await buildBusyboxImage());
    await succeed(containerd, 'image', 'import', image);
    return [await compareRun(containerd), await compareExec(containerd), await compareOutput(containerd)];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function compareRun(containerd: PrivateContainerd): Promise<Comparison> {
  let count = 0;
  const run = (runtime: string) => () =>
    succeed(containerd, 'run', '--rm', '--runtime', runtime, busyboxImageName, `run-${++count}`, 'true');
  const { ours, reference } = await inTurns(rounds, run(runhcs), run(runc));
  const ratio = ours / reference;
  return {
    name: 'ctr run --rm … true, sandbox engine',
    ours: `${ours.toFixed(0)} ms`,
    reference: `${reference.toFixed(0)} ms with the runc shim`,
    ratio,
    aim: '≤ 1.5×',
    reached: ratio <= 1.5,
  };
}

async function compareExec(containerd: PrivateContainerd): Promise<Comparison> {
  for (const runtime of [runhcs, runc]) {
    await succeed(containerd, 'run', '-d', '--runtime', runtime, busyboxImageName, runtime, 'sleep', '1000');
  }
  let count = 0;
  const exec = (id: string) => () =>
    succeed(containerd, 'task', 'exec', '--exec-id', `exec-${++count}`, id, 'true');
  const { ours, reference } = await inTurns(rounds, exec(runhcs), exec(runc));
  const ratio = ours / reference;
  return {
    name: 'ctr task exec … true, sandbox engine',
    ours: `${ours.toFixed(0)} ms`,
    reference: `${reference.toFixed(0)} ms with the runc shim`,
    ratio,
    aim: '≤ 1.0×',
    reached: ratio <= 1,
  };
}

async function compareOutput(containerd: PrivateContainerd): Promise<Comparison> {
  const size = 50 * 1024 * 1024;
  const read = async (runtime: string): Promise<number> => {
    let bytes = 0;
    const command = ['run', '--rm', '--runtime', runtime, busyboxImageName, `output-${runtime}`];
    const time = await timed(() =>
      containerd.ctr([...command, 'head', '-c', String(size), '/dev/zero'], {
        stdout: (chunk) => (bytes += chunk.length),
      }),
    );
    if (bytes !== size)
      throw new Error(`Cannot use the figure: ${bytes} of ${size} bytes arrived with ${runtime}`);
    return size / 1e6 / (time / 1000);
  };
  const [ours, reference] = [await read(runhcs), await read(runc)];
  return {
    name: '50 MiB of stdout, sandbox engine, whole ctr run',
    ours: `${ours.toFixed(0)} MB/s`,
    reference: `${reference.toFixed(0)} MB/s with the runc shim`,
    ratio: ours / reference,
    aim: 'byte-exact',
    reached: true,
  };
}

async function succeed(containerd: PrivateContainerd, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await containerd.ctr(args);
  if (exitCode !== 0) throw new Error(`"ctr ${args.join(' ')}" ended with exit code ${exitCode}: ${stderr}`);
  return stdout;
}
