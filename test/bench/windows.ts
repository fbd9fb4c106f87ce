import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDebianPackages } from '../../setup/debian-packages.ts';
import { StepDisplay } from '../../setup/terminal.ts';
import { Wine, windowsPath } from '../../setup/wine.ts';
import { memoryBackend } from '../wine/memory-backend.ts';
import { StandInService } from '../wine/stand-in-service.ts';
import type { CallCosts } from './call-cost.windows.ts';
import type { Comparison } from './measure.ts';

/** Microseconds that a call may cost beyond the bare call of the DLL. */
const allowance = 30;

/** Calls of the Windows service under Wine against the same calls by koffi alone, both into the stand-in DLL. */
export async function windowsComparisons(): Promise<Comparison[]> {
  const display = new StepDisplay();
  await installDebianPackages(['wine', 'wine64', 'mingw'], (line) => display.line(line));
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-bench-'));
  try {
    await using wine = await Wine.start(display);
    await using service = await StandInService.start(memoryBackend);
    const result = join(directory, 'costs.json');
    const { exitCode } = await wine.runNode(
      [windowsPath(join(import.meta.dirname, 'call-cost.windows.ts')), windowsPath(result)],
      { environment: { HCSSHIM_STAND_IN_PORT: String(service.port) }, timeout: 120_000 },
    );
    if (exitCode !== 0) throw new Error(`Cannot measure calls under Wine: Node ended with ${exitCode}`);
    const costs = JSON.parse(await readFile(result, 'utf8')) as CallCosts;
    return [
      compare('hcs: getProperties of a system, under Wine', costs.operation),
      compare('windows: a call that returns at once', costs.immediate),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function compare(name: string, { ours, bare }: CallCosts['operation']): Comparison {
  const cost = ours - bare;
  return {
    name,
    ours: `${ours.toFixed(1)} µs`,
    reference: `${bare.toFixed(1)} µs by koffi alone (${cost.toFixed(1)} µs more)`,
    ratio: ours / bare,
    aim: `≤ ${allowance} µs more`,
    reached: cost <= allowance,
  };
}
