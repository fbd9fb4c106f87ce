import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { type TtrpcError, TtrpcServer } from './index.ts';
import { listen, serveStory } from './testing/peers.ts';

/** A service whose calls run until they are released. */
function slowService() {
  const started = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<TtrpcError>();
  return {
    started: started.promise,
    release: released.resolve,
    aborted: aborted.promise,
    async greet({ name }: { name: string }, { signal }: { signal: AbortSignal }) {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      started.resolve();
      await released.promise;
      return { greeting: name };
    },
  };
}

describe('shutdown', () => {
  test('lets calls that run finish, refuses new ones, and closes the connections', async () => {
    const service = slowService();
    await using story = await serveStory(service);
    const { client, connection } = await story.dial();
    const running = client.greet({ name: 'ran' });
    await service.started;
    const down = story.server.shutdown();
    await assert.rejects(client.greet({}), { code: 'Unavailable', message: /shutting down/ });
    service.release();
    assert.equal((await running).greeting, 'ran');
    await connection.closed;
    await down;
  });

  test('closes connections on which nothing runs at once, and what it listens on', async () => {
    await using story = await serveStory({});
    const { connection } = await story.dial();
    const closed = once(story.netServer, 'close');
    await story.server.shutdown();
    await connection.closed;
    await closed;
    assert.equal(story.netServer.listening, false);
  });

  test('finishes streams that run', async () => {
    const released = Promise.withResolvers<void>();
    await using story = await serveStory({
      async *count({ value }) {
        yield { value: 1 };
        await released.promise;
        for (let next = 2; next <= value; next++) yield { value: next };
      },
    });
    const { client } = await story.dial();
    const stream = client.count({ value: 500 });
    assert.equal((await stream.next()).value?.value, 1);
    const down = story.server.shutdown();
    released.resolve();
    assert.equal((await Array.fromAsync(stream)).length, 499);
    await down;
  });

  test('waits for the handler of a call whose client has gone', async () => {
    const service = slowService();
    await using story = await serveStory(service);
    const { client, connection } = await story.dial();
    const call = assert.rejects(client.greet({}));
    await service.started;
    await connection.close();
    await call;
    await service.aborted;
    let isDown = false;
    const down = story.server.shutdown().then(() => {
      isDown = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(isDown, false);
    service.release();
    await down;
  });

  test('whose signal aborts closes all at once and says so', async () => {
    const service = slowService();
    await using story = await serveStory(service);
    const { client } = await story.dial();
    const call = assert.rejects(client.greet({}), { code: 'Unavailable' });
    await service.started;
    await assert.rejects(story.server.shutdown({ signal: AbortSignal.timeout(10) }), {
      code: 'DeadlineExceeded',
    });
    await call;
    assert.equal((await service.aborted).code, 'Canceled');
  });

  test('of a server that serves nobody is done', async () => {
    const server = new TtrpcServer();
    await server.shutdown();
    await server.shutdown();
    await server.close();
  });
});

describe('close', () => {
  test('aborts calls that run and ends their connections', async () => {
    const service = slowService();
    await using story = await serveStory(service);
    const { client, connection } = await story.dial();
    const call = assert.rejects(client.greet({}), { code: 'Unavailable' });
    await service.started;
    await story.server.close();
    await call;
    await connection.closed;
    const reason = await service.aborted;
    assert.deepEqual([reason.code, reason.message.includes('server was closed')], ['Canceled', true]);
    service.release();
  });

  test('is followed by no more connections', async () => {
    const server = new TtrpcServer();
    await server.close();
    const [near] = duplexPair();
    server.accept(near);
    assert.equal(near.destroyed, true);
    const { netServer } = await listen();
    server.listen(netServer);
    assert.equal(netServer.listening, false);
  });
});
