import assert from 'node:assert/strict';
import type { ContractTest } from './contract-test.ts';
import { assertFails, assertNothingLeft, assertState, exitOf } from './expectations.ts';

export const ownership: Record<string, ContractTest> = {
  async 'a system of another process is listed, opened, paused, resumed and ended'(harness) {
    const id = harness.id('elsewhere');
    await using owner = await harness.createElsewhere(id, harness.document());
    const [summary] = await harness.compute.enumerate({ Ids: [id] });
    assert.equal(summary?.State, 'Running');
    await assertFails(
      harness.compute.create(id, harness.document()),
      'HCS_E_SYSTEM_ALREADY_EXISTS',
      String(owner.pid),
    );
    await using system = await harness.compute.open(id);
    assert.equal(system.runtimeId, summary.RuntimeId);
    await system.pause();
    await assertState(system, 'Paused');
    await assertFails(system.start(), 'HCS_E_INVALID_STATE', 'Paused', 'Created');
    await system.resume();
    await assertFails(
      system.modify({ ResourcePath: 'VirtualMachine/Elsewhere', RequestType: 'Add' }),
      'ERROR_NOT_SUPPORTED',
      'VirtualMachine/Elsewhere',
    );
    await assert.rejects(harness.sockets.connect(system.runtimeId, 4711), { code: 'ECONNREFUSED' });
    await assertFails(harness.sockets.listen(system.runtimeId, 5000), 'ERROR_NOT_SUPPORTED');

    const reason = new Error('enough');
    const controller = new AbortController();
    const impatient = system.wait(controller);
    controller.abort(reason);
    await assert.rejects(impatient, reason);

    const waiting = exitOf(harness, system);
    await system.terminate();
    assert.equal((await waiting).type, 'ForcedExit');
    assert.equal((await exitOf(harness, system)).type, 'ForcedExit');
    await assertFails(system.pause(), 'HCS_E_SYSTEM_ALREADY_STOPPED');
    await system.terminate();
    await assertNothingLeft(harness);
  },

  async 'a handle in another process that closes leaves the system to the others'(harness) {
    const id = harness.id('shared');
    const document = harness.document({ ShouldTerminateOnLastHandleClosed: true });
    await using _ = await harness.createElsewhere(id, document);
    const first = await harness.compute.open(id);
    await first[Symbol.asyncDispose]();
    await assertFails(first.pause(), 'ERROR_INVALID_HANDLE');
    await using second = await harness.compute.open(id);
    await assertState(second, 'Running');
  },

  async 'an owner that dies takes its system with it, and its waiters hear of it'(harness) {
    const id = harness.id('orphan');
    await using owner = await harness.createElsewhere(id, harness.document());
    await using system = await harness.compute.open(id);
    const waiting = exitOf(harness, system);
    await owner.kill();
    const exit = await waiting;
    assert.equal(exit.type, 'UnexpectedExit');
    await assertFails(harness.compute.open(id), 'HCS_E_SYSTEM_NOT_FOUND', id);
    const [summary] = await harness.compute.enumerate({ Ids: [id] });
    assert.equal(summary?.State, 'Unknown');
    assert.deepEqual(await harness.sweep(), [id]);
    assert.deepEqual(await harness.sweep(), []);
    assert.deepEqual(await harness.compute.enumerate({ Ids: [id] }), []);
    await assertNothingLeft(harness);
  },

  async 'the reason of an end names the owner that has died'(harness) {
    const id = harness.id('named');
    await using owner = await harness.createElsewhere(id, harness.document());
    await using system = await harness.compute.open(id);
    const waiting = exitOf(harness, system);
    await owner.kill();
    const { reason } = await waiting;
    assert.ok(reason.includes(String(owner.pid)), reason);
    assert.deepEqual(await harness.sweep(), [id]);
  },

  async 'an owner that dies with a paused system leaves nothing that a sweep does not end'(harness) {
    const id = harness.id('frozen');
    await using owner = await harness.createElsewhere(id, harness.document());
    {
      await using system = await harness.compute.open(id);
      await system.pause();
    }
    await owner.kill();
    assert.deepEqual(await harness.sweep(), [id]);
    await assertNothingLeft(harness);
  },

  async 'the id of a system whose owner has died can be used at once'(harness) {
    const id = harness.id('again');
    await using owner = await harness.createElsewhere(id, harness.document());
    await owner.kill();
    const system = await harness.compute.create(id, harness.document());
    await assertState(system, 'Created');
    await system.terminate();
    await system[Symbol.asyncDispose]();
    await assertNothingLeft(harness);
  },

  async 'a sweep leaves systems alone whose owners live'(harness) {
    const id = harness.id('alive');
    await using _ = await harness.createElsewhere(id, harness.document());
    assert.deepEqual(await harness.sweep(), []);
    await using system = await harness.compute.open(id);
    await assertState(system, 'Running');
  },
};
