import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSink } from './containerd.fake.ts';
import { EventPublisher } from './event-publisher.ts';
import {
  TaskCreateSchema,
  TaskExitSchema,
  TaskStartSchema,
} from './generated/containerd/events/v1/task_events_pb.ts';
import { Log } from './log.ts';

const log = new Log(-1, {}, 'error');

function publisherFor(address: string, timeout = 5_000): EventPublisher {
  return new EventPublisher({ address, namespace: 'test', log, timeout, retryPause: 5 });
}

test('an event travels with namespace, topic, time and its type by its bare name', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address);
  await publisher.publish(TaskStartSchema, { containerId: 'x', pid: 3 });
  const [envelope] = sink.envelopes;
  assert.equal(envelope?.namespace, 'test');
  assert.equal(envelope?.topic, '/tasks/start');
  assert.equal(envelope?.event?.typeUrl, 'containerd.events.TaskStart');
  assert.ok(Math.abs(Number(envelope?.timestamp?.seconds) - Date.now() / 1000) < 60);
  assert.equal(sink.event('/tasks/start').pid, 3);
});

test('an event is sent only after the one before it was answered', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address);
  let running = 0;
  let most = 0;
  sink.onForward = async () => {
    most = Math.max(most, ++running);
    await sleep(Math.random() * 5);
    running--;
  };
  for (let pid = 1; pid <= 20; pid++) void publisher.publish(TaskStartSchema, { containerId: 'x', pid });
  await publisher.drained();
  assert.equal(most, 1);
  assert.equal(sink.envelopes.length, 20);
});

test('a refused event is tried again, before any later one', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address);
  sink.onForward = async (_envelope, attempt) => {
    if (attempt < 4) throw new Error('not now');
  };
  void publisher.publish(TaskCreateSchema, { containerId: 'x' });
  await publisher.publish(TaskStartSchema, { containerId: 'x' });
  assert.deepEqual(sink.topics, ['/tasks/create', '/tasks/start']);
  assert.equal(sink.attempts, 5);
});

test('after one attempt and five retries an event is dropped and the next has its turn', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address);
  sink.onForward = async ({ topic }) => {
    if (topic === '/tasks/create') throw new Error('never');
  };
  void publisher.publish(TaskCreateSchema, { containerId: 'x' });
  await publisher.publish(TaskStartSchema, { containerId: 'x' });
  assert.deepEqual(sink.topics, ['/tasks/start']);
  assert.equal(sink.attempts, 7);
});

test('an attempt without an answer ends by its deadline', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address, 50);
  const { promise: never, resolve } = Promise.withResolvers<void>();
  sink.onForward = (_envelope, attempt) => (attempt === 1 ? never : Promise.resolve());
  await publisher.publish(TaskExitSchema, { containerId: 'x' });
  assert.equal(sink.attempts, 2);
  resolve();
});

test('an event waits for a containerd that is being restarted', async () => {
  await using sink = await EventSink.open();
  await using publisher = publisherFor(sink.address);
  await publisher.publish(TaskCreateSchema, { containerId: 'x' });
  await sink.stop();
  const published = publisher.publish(TaskStartSchema, { containerId: 'x' });
  await sink.listen();
  await published;
  assert.deepEqual(sink.topics, ['/tasks/create', '/tasks/start']);
});

test('without an address events are dropped at once', async () => {
  await using publisher = publisherFor('');
  await publisher.publish(TaskStartSchema, { containerId: 'x' });
});

test('a publisher that is disposed does not wait for containerd', async () => {
  const publisher = publisherFor('/nowhere/containerd.sock', 60_000);
  const published = publisher.publish(TaskStartSchema, { containerId: 'x' });
  await publisher[Symbol.asyncDispose]();
  await published;
});
