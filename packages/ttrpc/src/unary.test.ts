import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Metadata, messageLimit, StatusCode, TtrpcError } from './index.ts';
import { serveStory } from './testing/peers.ts';

describe('a call', () => {
  test('is answered with a message', async () => {
    await using story = await serveStory({ greet: ({ name }) => ({ greeting: `Hello ${name}` }) });
    const { client } = await story.dial();
    const answer = await client.greet({ name: 'World' });
    assert.equal(answer.$typeName, 'ttrpc.story.v1.GreetResponse');
    assert.equal(answer.greeting, 'Hello World');
  });

  test('may be answered later, and with an empty message', async () => {
    await using story = await serveStory({ greet: () => turn({}) });
    const { client } = await story.dial();
    assert.equal((await client.greet({})).greeting, '');
  });

  test('runs beside others on the same connection: a slow one holds up none', async () => {
    const released = Promise.withResolvers<void>();
    await using story = await serveStory({
      async greet({ name }) {
        if (name === 'slow') await released.promise;
        return { greeting: name };
      },
    });
    const { client } = await story.dial();
    const order: string[] = [];
    const note = ({ greeting }: { greeting: string }): void => void order.push(greeting);
    const slow = client.greet({ name: 'slow' }).then(note);
    await Promise.all(['a', 'b', 'c'].map((name) => client.greet({ name }).then(note)));
    released.resolve();
    await slow;
    assert.deepEqual(order, ['a', 'b', 'c', 'slow']);
  });

  test('keeps `this` of an implementation that is an object of a class', async () => {
    class Greeter {
      readonly #word = 'Hi';
      greet({ name }: { name: string }) {
        return { greeting: `${this.#word} ${name}` };
      }
    }
    await using story = await serveStory(new Greeter());
    const { client } = await story.dial();
    assert.equal((await client.greet({ name: 'there' })).greeting, 'Hi there');
  });

  test('carries metadata: keys in lower case, several values in their order', async () => {
    let seen: Metadata | undefined;
    await using story = await serveStory({
      greet(_request, { metadata }) {
        seen = metadata;
        return {};
      },
    });
    const { client } = await story.dial();
    await client.greet({}, { metadata: { 'containerd-namespace-ttrpc': 'k8s.io', Trace: ['1', '2'] } });
    const first = seen as Metadata;
    assert.deepEqual(Object.fromEntries(first), {
      'containerd-namespace-ttrpc': ['k8s.io'],
      trace: ['1', '2'],
    });
    await client.greet({}, { metadata: first });
    assert.deepEqual(seen, first);
    await client.greet({});
    assert.equal(seen?.size, 0);
  });

  test('tells its handler which connection it came over', async () => {
    const peers: unknown[] = [];
    await using story = await serveStory({
      greet: (_request, { peer }) => ({ greeting: `${peers.push(peer)}` }),
    });
    const [a, b] = [await story.dial(), await story.dial()];
    await a.client.greet({});
    await a.client.greet({});
    await b.client.greet({});
    assert.equal(peers[0], peers[1]);
    assert.notEqual(peers[0], peers[2]);
  });
});

describe('an error', () => {
  test('that a handler throws as a TtrpcError keeps code, message and details', async () => {
    const details = [{ typeUrl: 'type.example/Reason', value: Uint8Array.of(1, 2) }];
    await using story = await serveStory({
      greet: async () => {
        throw new TtrpcError('NotFound', 'no such task: "a"', { details });
      },
    });
    const { client } = await story.dial();
    await assert.rejects(client.greet({}), (error: TtrpcError) => {
      assert.ok(error instanceof TtrpcError);
      assert.deepEqual([error.code, error.status, error.message], ['NotFound', 5, 'no such task: "a"']);
      assert.deepEqual(error.details, [{ typeUrl: 'type.example/Reason', value: Uint8Array.of(1, 2) }]);
      return true;
    });
  });

  test('of any other kind is Unknown with its message, thrown at once or later', async () => {
    await using story = await serveStory({
      greet({ name }) {
        if (name === 'now') throw new RangeError('too far');
        return Promise.reject('a string');
      },
    });
    const { client } = await story.dial();
    await assert.rejects(client.greet({ name: 'now' }), { code: 'Unknown', status: 2, message: 'too far' });
    await assert.rejects(client.greet({ name: 'later' }), { code: 'Unknown', message: 'a string' });
  });

  test('has each of the codes of gRPC', async () => {
    await using story = await serveStory({
      greet({ name }) {
        throw new TtrpcError(name as 'Aborted', 'x');
      },
    });
    const { client } = await story.dial();
    for (const [code, status] of Object.entries(StatusCode).slice(1))
      await assert.rejects(client.greet({ name: code }), { code, status });
  });

  test('too large to send is cut short', async () => {
    await using story = await serveStory({
      greet() {
        throw new TtrpcError('Aborted', 'x'.repeat(messageLimit));
      },
    });
    const { client } = await story.dial();
    await assert.rejects(client.greet({}), { code: 'Aborted', message: /^x{1024}…$/ });
  });
});

describe('a method', () => {
  test('that nobody serves is Unimplemented', async () => {
    await using story = await serveStory({});
    const { client } = await story.dial();
    await assert.rejects(client.greet({}), { code: 'Unimplemented', status: 12, message: /Story\/Greet/ });
  });

  test('of a service that is registered twice is not served twice', async () => {
    await using story = await serveStory({});
    const { Story } = await import('./generated/story_pb.ts');
    assert.throws(() => story.server.register(Story, {}), { code: 'AlreadyExists' });
  });
});

describe('a deadline', () => {
  test('ends the call on both sides', async () => {
    const aborted = Promise.withResolvers<TtrpcError>();
    await using story = await serveStory({
      greet(_request, { signal }) {
        signal.addEventListener('abort', () => aborted.resolve(signal.reason));
        return new Promise(() => {});
      },
    });
    const { client } = await story.dial();
    await assert.rejects(client.greet({}, { timeoutMs: 20 }), { code: 'DeadlineExceeded', status: 4 });
    assert.equal((await aborted.promise).code, 'DeadlineExceeded');
  });

  test('that has passed before the call sends nothing', async () => {
    let calls = 0;
    await using story = await serveStory({ greet: () => ({ greeting: `${++calls}` }) });
    const { client } = await story.dial();
    for (const timeoutMs of [0, -1, Number.NaN])
      await assert.rejects(client.greet({}, { timeoutMs }), { code: 'DeadlineExceeded' });
    await client.greet({});
    assert.equal(calls, 1);
  });

  test('costs no timer where there is none, and none once the answer is there', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const during: number[] = [];
    await using story = await serveStory({
      greet: () => ({ greeting: `${during.push(timers() - before)}` }),
    });
    const { client } = await story.dial();
    await client.greet({});
    await client.greet({}, { timeoutMs: Number.POSITIVE_INFINITY });
    await client.greet({}, { timeoutMs: 60_000 });
    assert.deepEqual(during, [0, 0, 2]);
    assert.equal(timers(), before);
  });
});

describe('a call that is given up', () => {
  test('rejects with Canceled and the reason as its cause; others go on', async () => {
    await using story = await serveStory({
      greet: ({ name }) => (name === 'wait' ? new Promise(() => {}) : { greeting: name }),
    });
    const { client } = await story.dial();
    const controller = new AbortController();
    const reason = new Error('enough');
    const call = client.greet({ name: 'wait' }, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(call, { code: 'Canceled', status: 1, cause: reason });
    await assert.rejects(client.greet({}, { signal: controller.signal }), { code: 'Canceled' });
    assert.equal((await client.greet({ name: 'next' })).greeting, 'next');
  });

  test('by AbortSignal.timeout() rejects with DeadlineExceeded', async () => {
    await using story = await serveStory({ greet: () => new Promise(() => {}) });
    const { client } = await story.dial();
    await assert.rejects(client.greet({}, { signal: AbortSignal.timeout(10) }), { code: 'DeadlineExceeded' });
  });
});

describe('the connection', () => {
  test('when it is lost aborts what runs on the server, and only that', async () => {
    const aborted = Promise.withResolvers<TtrpcError>();
    const running = Promise.withResolvers<void>();
    await using story = await serveStory({
      greet({ name }, { signal }) {
        if (name !== 'wait') return { greeting: name };
        signal.addEventListener('abort', () => aborted.resolve(signal.reason));
        running.resolve();
        return new Promise(() => {});
      },
    });
    const { client, socket } = await story.dial();
    const call = client.greet({ name: 'wait' });
    await running.promise;
    socket.destroy();
    await assert.rejects(call, { code: 'Unavailable', status: 14 });
    await assert.rejects(client.greet({}), { code: 'Unavailable' });
    assert.equal((await aborted.promise).code, 'Canceled');
    assert.equal((await (await story.dial()).client.greet({ name: 'other' })).greeting, 'other');
  });

  test('closed on this side cancels what waits', async () => {
    await using story = await serveStory({ greet: () => new Promise(() => {}) });
    const { client, connection } = await story.dial();
    const call = client.greet({});
    await Promise.all([assert.rejects(call, { code: 'Canceled' }), connection.close()]);
    await connection.closed;
  });

  test('hands a signal that is asked for late, already aborted', async () => {
    const asked = Promise.withResolvers<AbortSignal>();
    const running = Promise.withResolvers<void>();
    await using story = await serveStory({
      async greet(_request, context) {
        running.resolve();
        await new Promise((resolve) => context.peer.once('close', resolve));
        asked.resolve(context.signal);
        return {};
      },
    });
    const { client, connection } = await story.dial();
    const call = assert.rejects(client.greet({}));
    await running.promise;
    await connection.close();
    await call;
    const signal = await asked.promise;
    assert.equal(signal.aborted, true);
    assert.equal(signal.reason.code, 'Canceled');
  });
});

describe('a message', () => {
  // An envelope of 27 bytes for service and method, 4 each for the payload's and the ballast's tag and length.
  const overhead = 2 + 'ttrpc.story.v1.Story'.length + 2 + 'Greet'.length + 5 + 5;

  test('of exactly 4 MiB passes, one byte more fails before it is sent', async () => {
    await using story = await serveStory({ greet: ({ ballast }) => ({ greeting: String(ballast.length) }) });
    const { client } = await story.dial();
    const most = messageLimit - overhead;
    assert.equal((await client.greet({ ballast: Buffer.alloc(most) })).greeting, String(most));
    await assert.rejects(client.greet({ ballast: Buffer.alloc(most + 1) }), {
      code: 'ResourceExhausted',
      status: 8,
      message: /4194305 bytes, the limit is 4194304/,
    });
    assert.equal((await client.greet({})).greeting, '0');
  });

  test('over the limit as an answer is ResourceExhausted; the connection stays', async () => {
    await using story = await serveStory({
      greet: ({ name }) => ({ ballast: Buffer.alloc(name === 'much' ? messageLimit : 3) }),
    });
    const { client } = await story.dial();
    await assert.rejects(client.greet({ name: 'much' }), { code: 'ResourceExhausted' });
    assert.equal((await client.greet({})).ballast.length, 3);
  });
});

test('more handlers than allowed on one connection are ResourceExhausted', async () => {
  const released = Promise.withResolvers<object>();
  await using story = await serveStory({ greet: () => released.promise }, { maxConcurrentCalls: 2 });
  const { client } = await story.dial();
  const running = [client.greet({}), client.greet({})];
  await assert.rejects(client.greet({}), { code: 'ResourceExhausted' });
  released.resolve({});
  await Promise.all(running);
  await client.greet({});
});
