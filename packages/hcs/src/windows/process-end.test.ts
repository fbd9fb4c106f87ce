import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProcessEnd } from './process-end.ts';

describe('the end of a process', () => {
  test('is told once, to early and late waiters', async () => {
    using end = new ProcessEnd();
    const early = end.promise;
    assert.equal(end.isTold, false);
    end.tell({ exitCode: 3 });
    end.tell({ exitCode: 4 });
    end.fail(new Error('late'));
    assert.deepEqual([await early, await end.promise], [{ exitCode: 3 }, { exitCode: 3 }]);
    assert.equal(end.isTold, true);
  });

  test('that the service does not tell releases the waiters after a second', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using end = new ProcessEnd();
    end.release('a signal found no process');
    t.mock.timers.tick(999);
    assert.equal(end.isTold, false);
    t.mock.timers.tick(1);
    assert.deepEqual(await end.promise, { exitCode: -1, reason: 'a signal found no process' });
  });

  test('that is told within that second is the one that counts', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using end = new ProcessEnd();
    end.release('its system ended');
    end.tell({ exitCode: 0 });
    t.mock.timers.tick(5000);
    end.release('its system ended');
    assert.deepEqual(await end.promise, { exitCode: 0 });
  });
});
