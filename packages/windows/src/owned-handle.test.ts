import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle } from './procedure.ts';

function own(close: (value: Handle<'HANDLE'>) => unknown): OwnedHandle<'HANDLE'> {
  return new OwnedHandle('HANDLE', 7n as Handle<'HANDLE'>, close);
}

describe('a handle with an owner', () => {
  test('is closed once, however often and in whichever way it is closed', async () => {
    const closed: bigint[] = [];
    {
      await using handle = own((value) => closed.push(value));
      handle[Symbol.dispose]();
      await Promise.all([handle.close(), handle.close()]);
    }
    assert.deepEqual(closed, [7n]);
  });

  test('is closed at once when nobody uses it', () => {
    const closed: bigint[] = [];
    own((value) => closed.push(value))[Symbol.dispose]();
    assert.deepEqual(closed, [7n]);
  });

  test('is closed after the last call that uses it, failed or not', async () => {
    const log: string[] = [];
    const handle = own(() => log.push('closed'));
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const uses = [handle.use(() => first.promise), handle.use(() => second.promise)];
    const closing = handle.close().then(() => log.push('close resolved'));
    first.resolve();
    await uses[0];
    assert.deepEqual(log, []);
    second.reject(new Error('the call failed'));
    await assert.rejects(uses[1] as Promise<void>, /the call failed/);
    await closing;
    assert.deepEqual(log, ['closed', 'close resolved']);
  });

  test('takes no call once it is closing', async () => {
    const handle = own(() => {});
    const call = Promise.withResolvers<void>();
    const using_ = handle.use(() => call.promise);
    const closing = handle.close();
    await assert.rejects(
      handle.use(() => {}),
      /Cannot use a handle "HANDLE" that is closing/,
    );
    call.resolve();
    await Promise.all([using_, closing]);
    await assert.rejects(
      handle.use(() => {}),
      /Cannot use a handle "HANDLE" that is closed/,
    );
  });

  test('tells everyone who closes it when that fails', async () => {
    const handle = own(() => {
      throw new Error('the DLL refused');
    });
    await assert.rejects(handle.close(), /the DLL refused/);
    await assert.rejects(handle.close(), /the DLL refused/);
  });
});
