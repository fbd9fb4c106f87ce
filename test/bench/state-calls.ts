import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient, TtrpcConnection } from '@hcsshim/ttrpc';
import { Task } from '../../cmd/containerd-shim-runhcs-v1/src/generated/containerd/task/v2/task_pb.ts';
import { buildBusyboxImage, busyboxImageName } from '../../setup/containerd/busybox-image.ts';
import { PrivateContainerd } from '../../setup/containerd/private-containerd.ts';
import { programs } from '../../setup/prepare.ts';
import { type Comparison, median, percentile } from './measure.ts';

const rounds = 5;
const callsPerRound = 20_000;

interface Rate {
  callsPerSecond: number;
  /** Latency in microseconds that 99 of 100 calls stay below. */
  p99: number;
}

/** `State` on our shim against `State` on containerd's runc shim, by the same client. */
export async function stateComparisons(): Promise<Comparison[]> {
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
    await containerd.ctr(['image', 'import', image]);
    await using ours = await connectToShim(containerd, 'io.containerd.runhcs.v1');
    await using runc = await connectToShim(containerd, 'io.containerd.runc.v2');
    const comparisons: Comparison[] = [];
    for (const callers of [1, 16]) {
      const rates = { ours: [] as Rate[], runc: [] as Rate[] };
      for (let round = 0; round <= rounds; round++) {
        const pair = { ours: await measure(ours, callers), runc: await measure(runc, callers) };
        // The first round warms both up.
        if (round === 0) continue;
        rates.ours.push(pair.ours);
        rates.runc.push(pair.runc);
      }
      comparisons.push(compare(callers, summarize(rates.ours), summarize(rates.runc)));
    }
    return comparisons;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface ShimClient extends AsyncDisposable {
  id: string;
  task: Client<typeof Task>;
}

async function connectToShim(containerd: PrivateContainerd, runtime: string): Promise<ShimClient> {
  const id = `state-${runtime}`;
  const { exitCode, stderr } = await containerd.ctr([
    'run',
    '-d',
    '--runtime',
    runtime,
    busyboxImageName,
    id,
    'sleep',
    '1000',
  ]);
  if (exitCode !== 0) throw new Error(`Cannot start a container with ${runtime}: ${stderr}`);
  const bundle = join(containerd.directory, 'state/io.containerd.runtime.v2.task/default', id);
  const address = (await readFile(join(bundle, 'address'), 'utf8')).replace('unix://', '');
  const socket = createConnection(address);
  return {
    id,
    task: createClient(Task, new TtrpcConnection(socket)),
    [Symbol.asyncDispose]: async () => void socket.destroy(),
  };
}

async function measure({ id, task }: ShimClient, callers: number): Promise<Rate> {
  const latencies: number[] = [];
  let left = callsPerRound;
  const start = performance.now();
  const caller = async (): Promise<void> => {
    while (left-- > 0) {
      const sent = performance.now();
      await task.state({ id, execId: '' });
      latencies.push((performance.now() - sent) * 1000);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return {
    callsPerSecond: callsPerRound / ((performance.now() - start) / 1000),
    p99: percentile(latencies, 0.99),
  };
}

function summarize(rates: readonly Rate[]): Rate {
  return {
    callsPerSecond: median(rates.map((rate) => rate.callsPerSecond)),
    p99: median(rates.map((rate) => rate.p99)),
  };
}

function compare(callers: number, ours: Rate, runc: Rate): Comparison {
  const words = (rate: Rate): string =>
    `${rate.callsPerSecond.toFixed(0)} calls/s, p99 ${rate.p99.toFixed(0)} µs`;
  return {
    name: `ttrpc State, ${callers} caller${callers > 1 ? 's' : ''}`,
    ours: words(ours),
    reference: `${words(runc)} with containerd-shim-runc-v2`,
    ratio: ours.callsPerSecond / runc.callsPerSecond,
    aim: '≥ 1.0×, p99 no worse',
    reached: ours.callsPerSecond >= runc.callsPerSecond && ours.p99 <= runc.p99,
  };
}
