/** A figure and what it is held against, measured in the same run. */
export interface Comparison {
  name: string;
  /** The figure, with its unit. */
  ours: string;
  /** The reference, with its unit and what it is. */
  reference: string;
  /** Ours divided by the reference; below 1 is better where less is better. */
  ratio?: number;
  aim: string;
  reached: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function percentile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

/** Times two pieces of work in turns, so that what disturbs the machine disturbs both. In milliseconds, medians. */
export async function inTurns(
  rounds: number,
  ours: () => Promise<unknown>,
  reference: () => Promise<unknown>,
): Promise<{ ours: number; reference: number }> {
  await ours();
  await reference();
  const times = { ours: [] as number[], reference: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.ours.push(await timed(ours));
    times.reference.push(await timed(reference));
  }
  return { ours: median(times.ours), reference: median(times.reference) };
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** One line for a comparison, as `npm run bench` prints it. */
export function line({ name, ours, reference, ratio, aim, reached }: Comparison): string {
  const relation = ratio === undefined ? '' : `  ${ratio.toFixed(2)}×`;
  return `${reached ? '✓' : '✗'} ${name.padEnd(44)} ${ours} against ${reference}${relation}  (aim ${aim})`;
}
