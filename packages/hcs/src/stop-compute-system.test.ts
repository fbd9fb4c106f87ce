import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HcsError, isHcsError } from '@hcsshim/schema';
import type { ComputeSystem, SystemExit } from './compute-service.ts';
import { stopComputeSystem } from './stop-compute-system.ts';

type Rung = 'shutdown' | 'terminate';
type Behaviour = 'ends it' | 'does nothing' | 'never answers' | 'is refused' | 'comes too late';

/** A system that does on each rung as it is told. */
function systemThat(behaviour: Partial<Record<Rung, Behaviour>>): ComputeSystem & { asked: Rung[] } {
  const exit = Promise.withResolvers<SystemExit>();
  const asked: Rung[] = [];
  const onRung = (rung: Rung, type: SystemExit['type']) => async (): Promise<void> => {
    asked.push(rung);
    const how = behaviour[rung] ?? 'ends it';
    if (how === 'never answers') await new Promise(() => {});
    if (how === 'is refused')
      throw new HcsError({ action: `Cannot ${rung}`, problem: 'it is odd', code: 'HCS_E_INVALID_STATE' });
    if (how === 'comes too late') {
      exit.resolve({ type: 'UnexpectedExit', reason: 'by itself' });
      throw new HcsError({ action: 'x', problem: 'x', code: 'HCS_E_SYSTEM_ALREADY_STOPPED' });
    }
    if (how === 'ends it') exit.resolve({ type, reason: 'as asked' });
  };
  return {
    id: 'x',
    asked,
    shutdown: onRung('shutdown', 'GracefulExit'),
    terminate: onRung('terminate', 'ForcedExit'),
    wait: () => exit.promise,
    pendingOperations: () => ['start compute system "x" (for 240 s)'],
  } as Partial<ComputeSystem> as ComputeSystem & { asked: Rung[] };
}

const soon = { shutdownTimeout: 30, terminateTimeout: 30 };

describe('stopping a system', () => {
  test('asks it to shut down, and needs no more when it does', async () => {
    const system = systemThat({});
    const { rung, exit } = await stopComputeSystem(system, soon);
    assert.deepEqual([rung, exit.type, system.asked], ['shutdown', 'GracefulExit', ['shutdown']]);
  });

  test('terminates one that does not shut down, does not answer, or refuses', async () => {
    for (const shutdown of ['does nothing', 'never answers', 'is refused'] as const) {
      const system = systemThat({ shutdown });
      const { rung, exit } = await stopComputeSystem(system, soon);
      assert.deepEqual([rung, exit.type], ['terminate', 'ForcedExit'], shutdown);
    }
  });

  test('goes straight to the last rung when no time is given to the first', async () => {
    const system = systemThat({});
    await stopComputeSystem(system, { ...soon, shutdownTimeout: 0 });
    assert.deepEqual(system.asked, ['terminate']);
  });

  test('says that one had ended already', async () => {
    const { rung, exit } = await stopComputeSystem(systemThat({ shutdown: 'comes too late' }), soon);
    assert.deepEqual([rung, exit.reason], ['none', 'by itself']);
  });

  test('that fails tells of every rung and of what is pending', async () => {
    const system = systemThat({ shutdown: 'is refused', terminate: 'never answers' });
    await assert.rejects(stopComputeSystem(system, soon), (error) => {
      assert.ok(isHcsError(error));
      assert.equal(error.code, 'HCS_E_OPERATION_TIMEOUT');
      assert.match(error.message, /^Cannot stop compute system "x": Cannot shutdown: it is odd, /);
      assert.match(
        error.message,
        /; Cannot terminate compute system "x": no answer within 0\.03 s; pending on it: start compute system "x" \(for 240 s\)/,
      );
      return true;
    });
  });

  test('can be given up', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const stopping = stopComputeSystem(systemThat({ shutdown: 'does nothing' }), controller);
    controller.abort(reason);
    await assert.rejects(stopping, (error) => error === reason);
  });
});
