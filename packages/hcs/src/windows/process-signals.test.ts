import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HcsError, type HResultName } from '@hcsshim/schema';
import { deliver, kill } from './process-signals.ts';

function failure(code: HResultName): HcsError {
  return new HcsError({ action: 'Cannot do it', problem: 'as asked for', code });
}

/** Steps that succeed but for one, and a record of what was done. */
function steps(fails?: { step: string; code: HResultName }) {
  const done: string[] = [];
  const step = async <T>(name: string, result: T): Promise<T> => {
    done.push(name);
    if (fails?.step === name) throw failure(fails.code);
    return result;
  };
  const handle = (name: string): AsyncDisposable => ({
    [Symbol.asyncDispose]: async () => {
      done.push(`close ${name}`);
    },
  });
  return {
    done,
    openSystem: () => step('open system', handle('system')),
    openProcess: () => step('open process', handle('process')),
    terminate: () => step('terminate', undefined),
    terminateSystem: () => step('terminate system', undefined),
  };
}

describe('a kill', () => {
  test('goes by handles of its own, which are closed again', async () => {
    const taken = steps();
    assert.deepEqual(await kill(taken), { delivered: true });
    assert.deepEqual(taken.done, [
      'open system',
      'open process',
      'terminate',
      'close process',
      'close system',
    ]);
  });

  test('ends the system when that cannot be opened', async () => {
    const taken = steps({ step: 'open system', code: 'E_ACCESSDENIED' });
    assert.deepEqual(await kill(taken), { delivered: true });
    assert.deepEqual(taken.done, ['open system', 'terminate system']);
  });

  test('counts as delivered to a process that is ending or has ended', async () => {
    for (const code of ['E_ACCESSDENIED', 'HCS_E_PROCESS_ALREADY_STOPPED', 'ERROR_NOT_FOUND'] as const)
      assert.deepEqual(await kill(steps({ step: 'terminate', code })), { delivered: true }, code);
    const { delivered, gone } = await kill(steps({ step: 'open process', code: 'ERROR_NOT_FOUND' }));
    assert.equal(delivered, true);
    assert.equal((gone as HcsError).code, 'ERROR_NOT_FOUND');
  });

  test('that finds a system in the wrong state is not delivered', async () => {
    const { delivered } = await kill(steps({ step: 'terminate', code: 'HCS_E_INVALID_STATE' }));
    assert.equal(delivered, false);
  });

  test('that fails otherwise says so, and closes what it has opened', async () => {
    const taken = steps({ step: 'open process', code: 'E_OUTOFMEMORY' });
    await assert.rejects(kill(taken), { code: 'E_OUTOFMEMORY' });
    assert.deepEqual(taken.done, ['open system', 'open process', 'close system']);
  });
});

test('a signal without a process is not delivered, one that is refused is an error', async () => {
  assert.deepEqual(await deliver(Promise.resolve()), { delivered: true });
  const gone = failure('HCS_E_PROCESS_ALREADY_STOPPED');
  assert.deepEqual(await deliver(Promise.reject(gone)), { delivered: false, gone });
  await assert.rejects(deliver(Promise.reject(failure('E_INVALIDARG'))), { code: 'E_INVALIDARG' });
});
