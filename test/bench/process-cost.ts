import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** What a command and its children cost. Times in seconds, memory in bytes. */
export interface ProcessCost {
  /** User and system. */
  cpu: number;
  wall: number;
  /** The most that a single one of its processes had. */
  peakMemory: number;
}

const pollInterval = 5;

/** Runs a shell command and measures it from start to end. `before` is run first, and not measured. */
async function costOf(command: string, before: string): Promise<ProcessCost> {
  // The shell counts the children's times, and nothing else on every Debian does.
  const script = `${before}; TIMEFORMAT='%U %S %R'; time { ${command}; } 2>/dev/null`;
  const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  let peakMemory = 0;
  const poll = setInterval(() => {
    for (const pid of descendantsOf(child.pid as number)) peakMemory = Math.max(peakMemory, peakOf(pid));
  }, pollInterval);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(poll);
  if (code !== 0) throw new Error(`Cannot measure "${command}": it ended with ${code}`);
  const [user = 0, system = 0, wall = 0] = output.trim().split(' ').map(Number);
  return { cpu: user + system, wall, peakMemory };
}

/**
 * Measures several commands in turns, so that what disturbs the machine disturbs all; each one's best of the rounds.
 * `before` is run before each: where it removes outputs, all write to memory that the system has at hand.
 */
export async function costsInTurns(
  rounds: number,
  commands: readonly string[],
  before = 'true',
): Promise<ProcessCost[]> {
  const best = commands.map(() => ({ cpu: Infinity, wall: Infinity, peakMemory: Infinity }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, command] of commands.entries()) {
      const cost = await costOf(command, before);
      const kept = best[index] as ProcessCost;
      kept.cpu = Math.min(kept.cpu, cost.cpu);
      kept.wall = Math.min(kept.wall, cost.wall);
      kept.peakMemory = Math.min(kept.peakMemory, cost.peakMemory);
    }
  }
  return best;
}

function descendantsOf(pid: number): number[] {
  const children = contents(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(contents(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

function contents(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // It has ended.
    return '';
  }
}
