import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  bind,
  computecore,
  createComputeSystem,
  openComputeSystem,
  runOperation,
  watchComputeSystem,
} from '@hcsshim/windows';
import { assertNothingLeaked, ledger } from './stand-in-ledger.ts';

const hcs = bind(computecore);
const atATime = 10;
const rounds = 10_000;
const warmUp = rounds / 2;
/**
 * What may still grow once everything is warm, in bytes: JavaScript objects, and all other memory, whose growth
 * slows down only after tens of thousands of rounds. What the DLL has given is counted exactly, at the end.
 */
const heapAllowance = 4 * 1024 * 1024;
const nativeAllowance = 32 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The room that V8 keeps for new objects grows with use, so it counts for neither. */
function measure(): { heap: number; native: number } {
  // What a first collection finalises, a second one frees.
  collectGarbage();
  collectGarbage();
  const { heapUsed, heapTotal, rss } = process.memoryUsage();
  return { heap: heapUsed, native: rss - heapTotal };
}

async function round(id: string): Promise<void> {
  await using system = await createComputeSystem(id, '{}');
  using _ = await watchComputeSystem(system, () => {});
  await runOperation('start', (operation) =>
    system.use((computeSystem) => hcs.HcsStartComputeSystem({ computeSystem, operation })),
  );
  await using again = await openComputeSystem(id);
  await runOperation('end', (operation) =>
    again.use((computeSystem) => hcs.HcsTerminateComputeSystem({ computeSystem, operation })),
  );
}

async function run(count: number): Promise<void> {
  for (let done = 0; done < count; done += atATime)
    await Promise.all(Array.from({ length: atATime }, (_, index) => round(`round ${index}`)));
}

describe('computecore.dll, over and over', { timeout: 115_000 }, () => {
  after(assertNothingLeaked);

  test(`${rounds} rounds of create, start, open, terminate, close leave memory as it was`, async (t) => {
    await run(warmUp);
    const before = measure();
    const begun = performance.now();
    await run(rounds - warmUp);
    const took = (performance.now() - begun) / (rounds - warmUp);
    const now = measure();
    const grown = { heap: now.heap - before.heap, native: now.native - before.native };
    t.diagnostic(`${took.toFixed(2)} ms a round, memory grew by ${JSON.stringify(grown)} bytes`);
    assert.ok(grown.heap < heapAllowance && grown.native < nativeAllowance, JSON.stringify(grown));
    assert.equal(ledger.StandInCountCalls({ procedure: 'HcsCreateComputeSystem' }), rounds);
  });
});
