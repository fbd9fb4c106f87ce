import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JobNotifications, readJobMessage } from './job-notifications.ts';

const ignore = () => {};

describe("a job's messages", () => {
  test('tell that all processes have exited, and the others by name', () => {
    assert.deepEqual(readJobMessage(4, 0n), { type: 'all-processes-exited' });
    assert.deepEqual(readJobMessage(6, 340n), {
      type: 'unimplemented',
      message: 'NEW_PROCESS',
      processId: 340,
    });
    assert.deepEqual(readJobMessage(10, 0n), {
      type: 'unimplemented',
      message: 'JOB_MEMORY_LIMIT',
      processId: null,
    });
    for (const unknown of [0, 5, 12]) assert.equal(readJobMessage(unknown, 1n), undefined);
  });

  test('are read in order, also those that came before anyone read, until the job is closed', async () => {
    const queue = new JobNotifications();
    queue.push(readJobMessage(6, 1n)!);
    queue.push(readJobMessage(4, 0n)!);
    setImmediate(() => {
      queue.push(readJobMessage(7, 2n)!);
      queue.end();
      queue.push(readJobMessage(7, 3n)!);
    });
    const read = await Array.fromAsync(queue.read(undefined, ignore));
    assert.deepEqual(
      read.map((one) => (one.type === 'unimplemented' ? one.message : one.type)),
      ['NEW_PROCESS', 'all-processes-exited', 'EXIT_PROCESS'],
    );
  });

  test('beyond the limit drop the oldest and say how many', async () => {
    const queue = new JobNotifications(2);
    for (const processId of [1n, 2n, 3n, 4n, 5n]) queue.push(readJobMessage(6, processId)!);
    queue.end();
    assert.deepEqual(await Array.fromAsync(queue.read(undefined, ignore)), [
      { type: 'lost', count: 3 },
      { type: 'unimplemented', message: 'NEW_PROCESS', processId: 4 },
      { type: 'unimplemented', message: 'NEW_PROCESS', processId: 5 },
    ]);
  });

  test('are waited for until the signal is aborted', async () => {
    const queue = new JobNotifications();
    const controller = new AbortController();
    const reading = queue.read(controller.signal, () => {
      assert.ok(queue.isAwaited);
      setImmediate(() => controller.abort());
    });
    await assert.rejects(reading.next(), { name: 'AbortError' });
    assert.ok(!queue.isAwaited);
  });
});
