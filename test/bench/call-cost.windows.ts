/**
 * Runs under the Windows Node: times calls through `@hcsshim/hcs/windows` against the same calls made with koffi
 * alone, in turns, and writes microseconds as JSON to the file that is its argument.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { bind, computecore, type Handle } from '@hcsshim/windows';
import { median } from './measure.ts';

/** Medians in microseconds. */
export interface CallCosts {
  /** `getProperties` of a system: an operation, a call on the pool, its completion from a foreign thread. */
  operation: { ours: number; bare: number };
  /** `HcsGetOperationId`, which returns at once. */
  immediate: { ours: number; bare: number };
}

const rounds = 3_000;
const warmUp = 500;
const immediateCalls = 200;

const koffi = createRequire(`${import.meta.dirname}/../../packages/windows/`)(
  'koffi',
) as typeof import('koffi');
const library = koffi.load('computecore.dll');
const completion = koffi.proto('void BenchCompletion(void *operation, void *context)');
const bare = {
  open: library.func('int HcsOpenComputeSystem(str16 id, uint32_t access, _Out_ void **system)'),
  close: library.func('void HcsCloseComputeSystem(void *system)'),
  createOperation: library.func('void *HcsCreateOperation(void *context, BenchCompletion *callback)'),
  closeOperation: library.func('void HcsCloseOperation(void *operation)'),
  operationId: library.func('uint64_t HcsGetOperationId(void *operation)'),
  properties: library.func('int HcsGetComputeSystemProperties(void *system, void *operation, str16 query)'),
  result: library.func('int HcsGetOperationResult(void *operation, _Out_ void **document)'),
  free: koffi.load('kernel32.dll').func('void *LocalFree(void *memory)'),
};

/** As little as a program can do that calls the DLL by itself and does not block. */
async function bareProperties(system: unknown): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  waiting = resolve;
  const operation = bare.createOperation(null, callback);
  bare.properties.async(system, operation, null, (error: unknown, status: number) => {
    if (error || status !== 0) reject(error ?? new Error(`Cannot read properties: ${status}`));
  });
  await promise;
  const document: [unknown] = [null];
  if (bare.result(operation, document) !== 0) throw new Error('Cannot read properties');
  const text = koffi.decode.string16(document[0] as never);
  bare.free(document[0]);
  bare.closeOperation(operation);
  return text === null ? undefined : JSON.parse(text);
}

let waiting = () => {};
const callback = koffi.register(() => setImmediate(waiting), koffi.pointer(completion));
// koffi's callbacks do not keep the process alive.
const alive = setInterval(() => {}, 60_000);

const id = 'call-cost';
await using system = await createWindowsComputeService().create(id, {
  Owner: 'bench',
  SchemaVersion: { Major: 2, Minor: 1 },
  ShouldTerminateOnLastHandleClosed: true,
});
const opened: [unknown] = [null];
if (bare.open(id, 0x10000000, opened) !== 0) throw new Error(`Cannot open system "${id}"`);

const operation = await inTurns(
  rounds,
  () => system.getProperties(),
  () => bareProperties(opened[0]),
);
bare.close(opened[0]);

const handle = bind(computecore).HcsCreateOperation({});
const { HcsGetOperationId } = bind(computecore);
const immediate = await inTurns(
  rounds / 10,
  async () => {
    for (let call = 0; call < immediateCalls; call++) HcsGetOperationId({ operation: handle });
  },
  async () => {
    for (let call = 0; call < immediateCalls; call++) bare.operationId(handle);
  },
);
await bind(computecore).HcsCloseOperation({ operation: handle as Handle<'HCS_OPERATION'> });

const costs: CallCosts = {
  operation,
  immediate: { ours: immediate.ours / immediateCalls, bare: immediate.bare / immediateCalls },
};
writeFileSync(process.argv[2] as string, JSON.stringify(costs));
clearInterval(alive);

async function inTurns(
  count: number,
  ours: () => Promise<unknown>,
  reference: () => Promise<unknown>,
): Promise<{ ours: number; bare: number }> {
  const times = { ours: [] as number[], bare: [] as number[] };
  for (let round = 0; round < count + warmUp; round++) {
    for (const [name, work] of [
      ['ours', ours],
      ['bare', reference],
    ] as const) {
      const start = performance.now();
      await work();
      if (round >= warmUp) times[name].push((performance.now() - start) * 1000);
    }
  }
  return { ours: median(times.ours), bare: median(times.bare) };
}
