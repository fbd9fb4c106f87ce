import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { EventSink } from './containerd.fake.ts';
import { EventPublisher } from './event-publisher.ts';
import { Log } from './log.ts';
import { ProcessStdio } from './stdio.ts';
import { Task } from './task.ts';
import { FakeContainer } from './task-host.fake.ts';

const log = new Log(-1, {}, 'error');

interface Stage {
  task: Task;
  container: FakeContainer;
  events: EventPublisher;
  sink: EventSink;
}

async function makeStage(t: TestContext, releaseTimeout?: number): Promise<Stage> {
  const sink = await EventSink.open();
  const events = new EventPublisher({ address: sink.address, namespace: 'test', log });
  t.after(async () => {
    await sink[Symbol.asyncDispose]();
    await events[Symbol.asyncDispose]();
  });
  const container = new FakeContainer({ id: 'x', bundle: '/', spec: { ociVersion: '1.0.2' }, rootfs: [] });
  const streams = new ProcessStdio({ stdin: '', stdout: '', stderr: '', terminal: false }, 'task "x"');
  const task = new Task({
    id: 'x',
    bundle: '/',
    container,
    streams,
    events,
    log,
    ...(releaseTimeout === undefined ? {} : { releaseTimeout }),
  });
  return { task, container, events, sink };
}

/** The container's start is never answered, until the container is deleted. */
function hangAtStart(container: FakeContainer): void {
  container.onLaunch = () => container.deleted.then(() => Promise.reject(new Error('the VM is gone')));
}

test('SIGKILL of a task whose start hangs is answered by the end of its VM', async (t) => {
  const { task, container } = await makeStage(t, 20);
  hangAtStart(container);
  const starting = assert.rejects(task.start(''), { message: 'the VM is gone' });
  await task.kill('', 9, { all: false });
  assert.equal(task.init.exitCode, 137);
  await starting;
  assert.deepEqual(container.calls, ['delete']);
});

test('a caller who does not want to wait for a start may give its signal up', async (t) => {
  const { task, container } = await makeStage(t);
  hangAtStart(container);
  const starting = assert.rejects(task.start(''), { message: 'the VM is gone' });
  const caller = new AbortController();
  const killing = assert.rejects(task.kill('', 15, { all: false, signal: caller.signal }), {
    message: 'the caller is gone',
  });
  caller.abort(new Error('the caller is gone'));
  await killing;
  assert.equal(task.init.state, 'starting');
  await task.abandon();
  await starting;
});

test('a delete does not wait for a containerd that takes no events', async (t) => {
  const { task, events, sink } = await makeStage(t);
  sink.onForward = () => new Promise(() => {});
  await task.kill('', 9, { all: false });
  let delivered = false;
  const deleting = task.delete('');
  void events.drained().then(() => {
    delivered = true;
  });
  await deleting;
  assert.equal(delivered, false);
});

test('two deletes at once are one', async (t) => {
  const { task, container, events, sink } = await makeStage(t);
  await task.kill('', 9, { all: false });
  const [first, second] = await Promise.all([task.delete(''), task.delete('')]);
  assert.equal(first, second);
  await events.drained();
  assert.deepEqual(container.calls, ['delete']);
  assert.deepEqual(sink.topics, ['/tasks/exit', '/tasks/delete']);
});
