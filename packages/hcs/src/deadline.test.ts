import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withDeadline } from './deadline.ts';

const never = new Promise<never>(() => {});
const action = 'Cannot wait';

describe('work with a deadline', () => {
  test('is not begun when its signal has aborted', async () => {
    const reason = new Error('enough');
    let begun = 0;
    const work = async () => begun++;
    const waiting = withDeadline({ action, timeout: 1000, signal: AbortSignal.abort(reason) }, work);
    await assert.rejects(waiting, (error) => error === reason);
    assert.equal(begun, 0);
  });

  test('is told of a signal that aborts while it begins, and the caller too', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    let told: unknown;
    const waiting = withDeadline({ action, timeout: 1000, signal: controller.signal }, (signal) => {
      signal.addEventListener('abort', () => (told = signal.reason));
      controller.abort(reason);
      return never;
    });
    await assert.rejects(waiting, (error) => error === reason);
    assert.equal(told, reason);
  });

  test('is given up in time, with what is pending, though it ignores its signal', async () => {
    const options = { action, timeout: 10, pending: () => ['start "x"'] };
    await assert.rejects(
      withDeadline(options, () => never),
      {
        code: 'HCS_E_OPERATION_TIMEOUT',
        message: /^Cannot wait: no answer within 0.01 s; pending on it: start "x"/,
      },
    );
  });

  test('that fails after it was given up is no unhandled rejection', async () => {
    const late = Promise.withResolvers<never>();
    await assert.rejects(
      withDeadline({ action, timeout: 5 }, () => late.promise),
      { code: 'HCS_E_OPERATION_TIMEOUT' },
    );
    late.reject(new Error('late'));
    await new Promise(setImmediate);
  });
});
