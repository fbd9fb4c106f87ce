import assert from 'node:assert/strict';
import type { ContractTest } from './contract-test.ts';
import { assertFails, assertNothingLeft, assertState } from './expectations.ts';

export const handles: Record<string, ContractTest> = {
  async 'the last handle that closes ends the system, when its document says so'(harness) {
    const id = harness.id('last');
    const first = await harness.compute.create(
      id,
      harness.document({ ShouldTerminateOnLastHandleClosed: true }),
    );
    await first.start();
    const second = await harness.compute.open(id);
    await first[Symbol.asyncDispose]();
    await assertState(second, 'Running');
    await second[Symbol.asyncDispose]();
    assert.deepEqual(await harness.compute.enumerate({ Ids: [id] }), []);
    await assertNothingLeft(harness);
  },

  async 'without that the system outlives its handles'(harness) {
    const id = harness.id('outlives');
    const document = harness.document({ ShouldTerminateOnLastHandleClosed: false });
    const first = await harness.compute.create(id, document);
    await first.start();
    await first[Symbol.asyncDispose]();
    await using second = await harness.compute.open(id);
    await assertState(second, 'Running');
    await second.terminate();
    await assertNothingLeft(harness);
  },

  async 'a closed handle takes no calls, and closing it twice is no error'(harness) {
    const system = await harness.compute.create(harness.id('closed'), harness.document());
    await system[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
    await assertFails(system.start(), 'ERROR_INVALID_HANDLE');
    await assertFails(system.getProperties(), 'ERROR_INVALID_HANDLE');
    await assertFails(system.wait(), 'ERROR_INVALID_HANDLE');
  },
};
