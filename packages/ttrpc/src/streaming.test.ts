import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { FrameFlag, FrameType } from './frame.ts';
import type { NumberSchema, Story } from './generated/story_pb.ts';
import { messageLimit, type ServiceImplementation, TtrpcError } from './index.ts';
import { bytes, facePeer, type RawPeer, serveStory } from './testing/peers.ts';

type NumberInit = MessageInitShape<typeof NumberSchema>;

const { remoteClosed, remoteOpen, noData } = FrameFlag;

async function* numbers(...values: number[]): AsyncGenerator<NumberInit> {
  for (const value of values) yield { value };
}

/** Makes a message large. */
const ballast = new Uint8Array(4096);

async function values(stream: AsyncIterable<{ value: number }>): Promise<number[]> {
  return Array.fromAsync(stream, ({ value }) => value);
}

const arithmetic: ServiceImplementation<typeof Story> = {
  greet: ({ name }) => ({ greeting: name }),
  async sum(requests) {
    let sum = 0;
    for await (const { value } of requests) sum += value;
    return { value: sum };
  },
  async *count({ value }) {
    for (let next = 1; next <= value; next++) yield { value: next };
  },
  async *double(requests) {
    for await (const { value } of requests) yield { value: value * 2 };
  },
};

describe('a stream', () => {
  test('of requests is answered once, after its end', async () => {
    await using story = await serveStory(arithmetic);
    const { client } = await story.dial();
    assert.equal((await client.sum(numbers(1, 2, 3))).value, 6);
    assert.equal((await client.sum(numbers())).value, 0);
  });

  test('of answers comes in order and ends', async () => {
    await using story = await serveStory(arithmetic);
    const { client } = await story.dial();
    assert.deepEqual(await values(client.count({ value: 4 })), [1, 2, 3, 4]);
    assert.deepEqual(await values(client.count({})), []);
  });

  test('both ways may talk in turns', async () => {
    await using story = await serveStory(arithmetic);
    const { client } = await story.dial();
    const heard: number[] = [];
    const answered: (() => void)[] = [];
    async function* questions(): AsyncGenerator<NumberInit> {
      for (let value = 1; value < 200; value *= 7) {
        const { promise, resolve } = Promise.withResolvers<void>();
        answered.push(resolve);
        yield { value };
        await promise;
      }
    }
    for await (const { value } of client.double(questions())) {
      heard.push(value);
      answered.shift()?.();
    }
    assert.deepEqual(heard, [2, 14, 98]);
  });

  test('of many messages arrives whole, beside other calls', async () => {
    await using story = await serveStory(arithmetic);
    const { client } = await story.dial();
    const all = Array.from({ length: 5000 }, (_, index) => index);
    const [doubled, sum, greeting] = await Promise.all([
      values(client.double(numbers(...all))),
      client.sum(numbers(...all)),
      client.greet({ name: 'meanwhile' }),
    ]);
    assert.deepEqual(
      doubled,
      all.map((value) => value * 2),
    );
    assert.equal(sum.value, 12497500);
    assert.equal(greeting.greeting, 'meanwhile');
  });

  test('ends with the error that its handler throws, after the messages before it', async () => {
    await using story = await serveStory({
      async *count() {
        yield { value: 1 };
        throw new TtrpcError('OutOfRange', 'no more');
      },
    });
    const { client } = await story.dial();
    const seen: number[] = [];
    await assert.rejects(
      async () => {
        for await (const { value } of client.count({ value: 3 })) seen.push(value);
      },
      { code: 'OutOfRange', message: 'no more' },
    );
    assert.deepEqual(seen, [1]);
  });

  test('of requests may be answered before its end; its source is then closed', async () => {
    await using story = await serveStory({
      async sum(requests) {
        for await (const { value } of requests) return { value };
        return {};
      },
    });
    const { client } = await story.dial();
    const closed = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<NumberInit> {
      try {
        for (let value = 5; ; value++) {
          yield { value };
          await turn();
        }
      } finally {
        closed.resolve();
      }
    }
    assert.equal((await client.sum(endless())).value, 5);
    await closed.promise;
    assert.equal((await client.sum(numbers(8))).value, 8);
  });

  test('whose source throws fails with that error', async () => {
    await using story = await serveStory(arithmetic);
    const { client } = await story.dial();
    const source = new Error('the source is dry');
    async function* failing(): AsyncGenerator<NumberInit> {
      yield { value: 1 };
      throw source;
    }
    await assert.rejects(client.sum(failing()), {
      code: 'Unknown',
      message: 'the source is dry',
      cause: source,
    });
  });

  test('with a value that its message cannot hold fails with Internal, on either side', async () => {
    await using story = await serveStory({
      ...arithmetic,
      async *count() {
        yield { value: 2 ** 40 };
      },
    });
    const { client } = await story.dial();
    await assert.rejects(client.sum(numbers(1.5)), { code: 'Internal' });
    await assert.rejects(values(client.count({})), { code: 'Internal' });
    assert.equal((await client.sum(numbers(1))).value, 1);
  });

  test('has a deadline for the whole of it, which its handler sees', async () => {
    const reason = Promise.withResolvers<TtrpcError>();
    await using story = await serveStory({
      async *count(_request, { signal }) {
        signal.addEventListener('abort', () => reason.resolve(signal.reason));
        yield { value: 1 };
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        );
      },
    });
    const { client } = await story.dial();
    await assert.rejects(values(client.count({}, { timeoutMs: 30 })), { code: 'DeadlineExceeded' });
    assert.equal((await reason.promise).code, 'DeadlineExceeded');
  });

  test('of requests that the server waits for fails there when the connection is lost', async () => {
    const failed = Promise.withResolvers<TtrpcError>();
    const begun = Promise.withResolvers<void>();
    await using story = await serveStory({
      async sum(requests) {
        try {
          for await (const _request of requests) begun.resolve();
        } catch (error) {
          failed.resolve(error as TtrpcError);
        }
        return {};
      },
    });
    const { client, socket } = await story.dial();
    async function* one(): AsyncGenerator<NumberInit> {
      yield { value: 1 };
      await new Promise(() => {});
    }
    const call = assert.rejects(client.sum(one()), { code: 'Unavailable' });
    await begun.promise;
    socket.destroy();
    assert.equal((await failed.promise).code, 'Canceled');
    await call;
  });
});

describe('back-pressure', () => {
  test('stops a handler whose client does not read', async () => {
    let sent = 0;
    await using story = await serveStory({
      async *count() {
        for (; sent < 100_000; sent++) yield { value: sent, ballast };
      },
    });
    const peer = await story.dialRaw();
    peer.socket.pause();
    peer.sendFrame(1, FrameType.request, remoteClosed, request('Count'));
    let before = -1;
    while (before !== sent || sent === 0) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(sent < 20_000, `${sent} messages were sent to a client that reads none`);
  });

  test('stops a client whose server does not take what has come', async () => {
    let yielded = 0;
    const released = Promise.withResolvers<void>();
    await using story = await serveStory(
      {
        async sum(requests) {
          await released.promise;
          let sum = 0;
          for await (const { value } of requests) sum += value;
          return { value: sum };
        },
      },
      { stallTimeoutMs: 600_000 },
    );
    const { client } = await story.dial();
    async function* large(): AsyncGenerator<NumberInit> {
      for (; yielded < 20_000; yielded++) yield { value: 1, ballast };
    }
    const call = client.sum(large());
    let before = -1;
    while (before !== yielded || yielded === 0) {
      before = yielded;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(yielded < 10_000, `${yielded} messages were sent to a server that takes none`);
    released.resolve();
    assert.equal((await call).value, 20_000);
  });

  test('ends a stream of answers that nobody reads for too long; other calls go on', async () => {
    await using slow = await facePeer({ stallTimeoutMs: 20 });
    const stream = slow.client.count({ value: 1000 });
    const first = stream.next();
    await slow.peer.next();
    for (let value = 0; value < 200; value++) slow.peer.sendFrame(1, FrameType.data, 0, bytes('0801'));
    assert.equal((await first).value?.value, 1);
    const other = slow.client.greet({ name: 'x' });
    const question = await slow.peer.next();
    slow.peer.sendFrame(question?.streamId ?? 0, FrameType.response, 0, bytes('1203 0a01', '"x"'));
    assert.equal((await other).greeting, 'x');
    await assert.rejects(values(stream), { code: 'ResourceExhausted' });
  });

  test('ends a stream of requests that its handler does not read for too long', async () => {
    const reason = Promise.withResolvers<TtrpcError>();
    await using story = await serveStory(
      {
        sum: (_requests, { signal }) =>
          new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => {
              reason.resolve(signal.reason);
              reject(signal.reason);
            }),
          ),
        greet: () => ({}),
      },
      { stallTimeoutMs: 20 },
    );
    const { client } = await story.dial();
    async function* endless(): AsyncGenerator<NumberInit> {
      for (;;) yield { value: 1, ballast };
    }
    await assert.rejects(client.sum(endless()), { code: 'ResourceExhausted' });
    assert.equal((await reason.promise).code, 'ResourceExhausted');
    await client.greet({});
  });
});

/** The frames of PROTOCOL.md's state diagrams, to the byte. */
describe('on the wire', () => {
  test('a stream of requests is a request that stays open, data, and data that closes', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    const call = client.sum(numbers(1, 0));
    await expectFrames(peer, [
      [1, FrameType.request, remoteOpen, request('Sum')],
      [1, FrameType.data, 0, bytes('0801')],
      [1, FrameType.data, 0, bytes('')],
      [1, FrameType.data, remoteClosed | noData, bytes('')],
    ]);
    peer.sendFrame(1, FrameType.response, 0, bytes('1202 0801'));
    assert.equal((await call).value, 1);
  });

  test('a stream of answers is asked for with a closed request', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    const answers = values(client.count({ value: 2 }));
    await expectFrames(peer, [[1, FrameType.request, remoteClosed, request('Count', bytes('0802'))]]);
    peer.sendFrame(1, FrameType.data, 0, bytes('0801'));
    peer.sendFrame(1, FrameType.data, 0);
    peer.sendFrame(1, FrameType.data, remoteClosed, bytes('0802'));
    assert.deepEqual(await answers, [1, 0, 2]);
  });

  test('a response may end a stream of answers, with a last message or without', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    for (const [streamId, body, expected] of [
      [1, bytes('1202 0809'), [7, 9]],
      [3, bytes(''), [7]],
    ] as const) {
      const answers = values(client.count({}));
      await peer.next();
      peer.sendFrame(streamId, FrameType.data, 0, bytes('0807'));
      peer.sendFrame(streamId, FrameType.response, 0, body);
      assert.deepEqual(await answers, expected);
    }
  });

  test('a client that leaves a stream closes its side and hears no more of it', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    async function* one(): AsyncGenerator<NumberInit> {
      yield { value: 1 };
      await new Promise(() => {});
    }
    const stream = client.double(one());
    const first = stream.next();
    await expectFrames(peer, [
      [1, FrameType.request, remoteOpen, request('Double')],
      [1, FrameType.data, 0, bytes('0801')],
    ]);
    peer.sendFrame(1, FrameType.data, 0, bytes('0802'));
    assert.equal((await first).value?.value, 2);
    await stream.return();
    await expectFrames(peer, [[1, FrameType.data, remoteClosed | noData, bytes('')]]);
    peer.sendFrame(1, FrameType.data, 0, bytes('0804'));
    const call = client.greet({});
    assert.equal((await peer.next())?.streamId, 3);
    peer.sendFrame(3, FrameType.response, 0);
    await call;
  });

  test('a server answers a stream of requests with one response', async () => {
    await using story = await serveStory(arithmetic);
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, remoteOpen, request('Sum'));
    peer.sendFrame(1, FrameType.data, 0, bytes('0805'));
    peer.sendFrame(1, FrameType.data, 0);
    peer.sendFrame(1, FrameType.data, remoteClosed, bytes('0802'));
    await expectFrames(peer, [[1, FrameType.response, 0, bytes('1202 0807')]]);
  });

  test('a first message may come with the request that opens a stream', async () => {
    await using story = await serveStory(arithmetic);
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, remoteOpen, request('Sum', bytes('0803')));
    peer.sendFrame(1, FrameType.data, remoteClosed | noData);
    await expectFrames(peer, [[1, FrameType.response, 0, bytes('1202 0803')]]);
    peer.sendFrame(3, FrameType.request, remoteClosed, request('Sum', bytes('0804')));
    await expectFrames(peer, [[3, FrameType.response, 0, bytes('1202 0804')]]);
  });

  test('a server streams data and closes with no data', async () => {
    await using story = await serveStory(arithmetic);
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, remoteClosed, request('Count', bytes('0802')));
    await expectFrames(peer, [
      [1, FrameType.data, 0, bytes('0801')],
      [1, FrameType.data, 0, bytes('0802')],
      [1, FrameType.data, remoteClosed | noData, bytes('')],
    ]);
  });

  for (const [breach, send] of [
    [
      'to a stream that was never opened',
      (peer: RawPeer) => peer.sendFrame(1, FrameType.data, 0, bytes('0801')),
    ],
    [
      'after it was closed',
      (peer: RawPeer) => {
        peer.sendFrame(1, FrameType.request, remoteOpen, request('Sum'));
        peer.send(Buffer.concat([bytes('00000000 00000001 03 05'), bytes('00000002 00000001 03 00 0801')]));
      },
    ],
    [
      'to a call of one request',
      (peer: RawPeer) => {
        peer.sendFrame(1, FrameType.request, 0, request('Greet', bytes('0a04', '"wait"')));
        peer.sendFrame(1, FrameType.data, 0, bytes('0801'));
      },
    ],
  ] as const)
    test(`data ${breach} is InvalidArgument`, async () => {
      await using story = await serveStory({ ...arithmetic, greet: () => new Promise(() => {}) });
      const peer = await story.dialRaw();
      send(peer);
      const answer = await peer.next();
      assert.deepEqual([answer?.streamId, answer?.type], [1, FrameType.response]);
      assert.equal(answer?.body.subarray(0, 1).toString('hex'), '0a');
      assert.ok(answer?.body.includes(bytes('0803')));
    });

  test('a message over the limit ends its stream with ResourceExhausted, not the connection', async () => {
    await using story = await serveStory(arithmetic);
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, remoteOpen, request('Sum'));
    peer.sendFrame(1, FrameType.data, 0, Buffer.alloc(messageLimit + 1));
    assert.ok((await peer.next())?.body.includes(bytes('0808')));
    peer.sendFrame(3, FrameType.request, 0, request('Greet', bytes('0a01', '"a"')));
    await expectFrames(peer, [[3, FrameType.response, 0, bytes('1203 0a01', '"a"')]]);
  });
});

function request(method: string, payload: Uint8Array = bytes('')): Buffer {
  const service = Buffer.from('ttrpc.story.v1.Story');
  const parts = [
    Buffer.of(0x0a, service.length),
    service,
    Buffer.of(0x12, method.length),
    Buffer.from(method),
  ];
  if (payload.length > 0) parts.push(Buffer.of(0x1a, payload.length), Buffer.from(payload));
  return Buffer.concat(parts);
}

async function expectFrames(
  peer: RawPeer,
  frames: [streamId: number, type: number, flags: number, body: Uint8Array][],
): Promise<void> {
  for (const [streamId, type, flags, body] of frames)
    assert.deepEqual(await peer.next(), { streamId, type, flags, body: Buffer.from(body) });
}
