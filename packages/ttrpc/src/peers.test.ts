import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { FrameFlag, FrameType } from './frame.ts';
import { Story } from './generated/story_pb.ts';
import { createClient, messageLimit, TtrpcConnection, type TtrpcError, TtrpcServer } from './index.ts';
import { bytes, facePeer, type RawPeer, serveStory } from './testing/peers.ts';

/** ttrpc.Request of Story/Greet without its payload. */
const greet = bytes('0a14', '"ttrpc.story.v1.Story"', '1205', '"Greet"');
/** The same with GreetRequest{name:"a"} as payload. */
const greetA = Buffer.concat([greet, bytes('1a03 0a01', '"a"')]);
/** ttrpc.Response with GreetResponse{greeting:"Hello a"} as payload. */
const helloA = bytes('1209 0a07', '"Hello a"');

const hello = { greet: ({ name }: { name: string }) => ({ greeting: `Hello ${name}` }) };

describe('a server', () => {
  test('answers the bytes of a request with the bytes of a response', async () => {
    await using story = await serveStory(hello);
    const peer = await story.dialRaw();
    peer.send(
      bytes(
        '00000022 00000001 01 00',
        '0a14',
        '"ttrpc.story.v1.Story"',
        '1205',
        '"Greet"',
        '1a03 0a01',
        '"a"',
      ),
    );
    const received: Buffer[] = [];
    peer.socket.on('data', (chunk: Buffer) => received.push(chunk));
    await peer.next();
    assert.deepEqual(Buffer.concat(received), bytes('0000000b 00000001 02 00', '1209 0a07', '"Hello a"'));
  });

  test('reads requests that come byte by byte', async () => {
    const [near, far] = duplexPair();
    await using server = new TtrpcServer();
    server.register(Story, hello);
    server.accept(near);
    const answer = new Promise<Buffer>((resolve) => far.once('data', resolve));
    for (const byte of Buffer.concat([bytes('00000022 00000001 01 00'), greetA]))
      far.write(Uint8Array.of(byte));
    assert.deepEqual(await answer, Buffer.concat([bytes('0000000b 00000001 02 00'), helloA]));
  });

  test('skips a request over the limit, answers ResourceExhausted and keeps the connection', async () => {
    await using story = await serveStory(hello);
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, 0, Buffer.alloc(messageLimit + 1));
    await expectStatus(peer, 1, 8);
    peer.sendFrame(3, FrameType.request, 0, greetA);
    await expectHello(peer, 3);
  });

  for (const [problem, streamId, body, status] of [
    ['with an even stream id is InvalidArgument', 2, greetA, 3],
    ['that is no ttrpc.Request is InvalidArgument', 1, bytes('0aff'), 3],
    ['with text that is not UTF-8 is InvalidArgument', 1, bytes('0a01 ff'), 3],
    ['whose payload is no such message is Internal', 1, Buffer.concat([greet, bytes('1a02 0aff')]), 13],
    ['for no service is Unimplemented', 1, bytes('1201', '"x"'), 12],
    ['for no method is Unimplemented', 1, bytes('0a14', '"ttrpc.story.v1.Story"', '1201', '"x"'), 12],
    [
      'whose time was up before it came is DeadlineExceeded',
      1,
      Buffer.concat([greetA, bytes('20 ffffffffffffffffff01')]),
      4,
    ],
  ] as const)
    test(`a request ${problem}, and the connection stays`, async () => {
      await using story = await serveStory(hello);
      const peer = await story.dialRaw();
      peer.sendFrame(streamId, FrameType.request, 0, body);
      await expectStatus(peer, streamId, status);
      peer.sendFrame(5, FrameType.request, 0, greetA);
      await expectHello(peer, 5);
    });

  test('takes rising stream ids only', async () => {
    await using story = await serveStory(hello);
    const peer = await story.dialRaw();
    peer.sendFrame(7, FrameType.request, 0, greetA);
    await expectHello(peer, 7);
    for (const streamId of [7, 5]) {
      peer.sendFrame(streamId, FrameType.request, 0, greetA);
      await expectStatus(peer, streamId, 3);
    }
    peer.sendFrame(0xffffffff, FrameType.request, 0, greetA);
    await expectHello(peer, 0xffffffff);
  });

  test('ignores frames of types that it does not know, and flags of a unary request', async () => {
    await using story = await serveStory(hello);
    const peer = await story.dialRaw();
    peer.sendFrame(1, 9, 0xff, bytes('00'));
    peer.sendFrame(1, FrameType.response, 0, bytes('00'));
    peer.sendFrame(1, FrameType.request, FrameFlag.remoteClosed, greetA);
    await expectHello(peer, 1);
  });

  test('grants a call the time that its request gives it', async () => {
    const reason = Promise.withResolvers<TtrpcError>();
    await using story = await serveStory({
      greet: (_request, { signal }) =>
        new Promise(() => signal.addEventListener('abort', () => reason.resolve(signal.reason))),
    });
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, 0, Buffer.concat([greetA, bytes('20 c096b102')])); // 5 000 000 ns
    await expectStatus(peer, 1, 4);
    assert.equal((await reason.promise).code, 'DeadlineExceeded');
  });

  test('takes a time of centuries for no limit', async () => {
    await using story = await serveStory({ greet: async () => ({ greeting: 'Hello a' }) });
    const peer = await story.dialRaw();
    peer.sendFrame(1, FrameType.request, 0, Buffer.concat([greetA, bytes('20 ffffffffffffffff7f')]));
    await expectHello(peer, 1);
  });

  for (const [way, leave] of [
    ['in the middle of a frame', (peer: RawPeer) => peer.socket.end(bytes('00000022 00000003 01 00 0a14'))],
    ['in the middle of a header', (peer: RawPeer) => peer.socket.end(bytes('00000022'))],
    ['by closing only its sending side', (peer: RawPeer) => peer.socket.end()],
    ['by a reset', (peer: RawPeer) => peer.socket.destroy()],
  ] as const)
    test(`takes a peer that leaves ${way} to be gone, and serves the others`, async () => {
      const reason = Promise.withResolvers<TtrpcError>();
      const running = Promise.withResolvers<void>();
      await using story = await serveStory({
        greet({ name }, { signal }) {
          if (name !== 'a') return { greeting: name };
          signal.addEventListener('abort', () => reason.resolve(signal.reason));
          running.resolve();
          return new Promise(() => {});
        },
      });
      const peer = await story.dialRaw();
      peer.sendFrame(1, FrameType.request, 0, greetA);
      await running.promise;
      leave(peer);
      assert.equal((await reason.promise).code, 'Canceled');
      assert.equal(await peer.next(), undefined);
      const { client } = await story.dial();
      assert.equal((await client.greet({ name: 'b' })).greeting, 'b');
    });

  test('reads no more requests from a peer that takes no answers, and goes on when it does', async () => {
    let handled = 0;
    await using story = await serveStory({
      greet() {
        handled++;
        return { ballast: new Uint8Array(32 * 1024) };
      },
    });
    const peer = await story.dialRaw();
    peer.socket.pause();
    const calls = 4000;
    for (let call = 0; call < calls; call++) peer.sendFrame(2 * call + 1, FrameType.request, 0, greetA);
    let before = -1;
    while (before !== handled || handled === 0) {
      before = handled;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(handled < calls, `all ${calls} requests were handled with no answer taken`);
    peer.socket.resume();
    for (let call = 0; call < calls; call++) assert.equal((await peer.next())?.streamId, 2 * call + 1);
  });
});

describe('a client', () => {
  test('sends the bytes of a request, with stream ids 1, 3, 5 …', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    for (const streamId of [1, 3, 5]) {
      const call = client.greet({ name: 'a' });
      assert.deepEqual(await peer.next(), { streamId, type: FrameType.request, flags: 0, body: greetA });
      peer.sendFrame(streamId, FrameType.response, 0, helloA);
      assert.equal((await call).greeting, 'Hello a');
    }
  });

  test('sends deadline and metadata', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    void client.greet({ name: 'a' }, { timeoutMs: 600_000, metadata: { K: 'v' } }).catch(() => {});
    const wire = Buffer.concat([greetA, bytes('20 80e0a596bb11', '2a06 0a01', '"k"', '1201', '"v"')]);
    assert.deepEqual((await peer.next())?.body, wire);
  });

  test('takes answers in any order', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    const calls = [client.greet({}), client.greet({})];
    await peer.next();
    await peer.next();
    peer.sendFrame(3, FrameType.response, 0, bytes('1203 0a01', '"2"'));
    peer.sendFrame(1, FrameType.response, 0, bytes('1203 0a01', '"1"'));
    assert.deepEqual(
      (await Promise.all(calls)).map(({ greeting }) => greeting),
      ['1', '2'],
    );
  });

  test('skips an answer over the limit, fails its call with ResourceExhausted and keeps the connection', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    const call = client.greet({});
    await peer.next();
    peer.sendFrame(1, FrameType.response, 0, Buffer.alloc(messageLimit + 1));
    await assert.rejects(call, { code: 'ResourceExhausted', message: /4194305 bytes/ });
    await expectAlive(conversation, 3);
  });

  test('keeps the number of a code that gRPC does not know', async () => {
    await using conversation = await facePeer();
    const { client, peer } = conversation;
    for (const [streamId, status, wire] of [
      [1, 99, '0a05 0863 1201 78'],
      [3, -1, '0a0b 08ffffffffffffffffff01'],
    ] as const) {
      const call = client.greet({});
      await peer.next();
      peer.sendFrame(streamId, FrameType.response, 0, bytes(wire));
      await assert.rejects(call, { code: 'Unknown', status });
    }
  });

  for (const [breach, type, body] of [
    ['an answer that is no ttrpc.Response', FrameType.response, bytes('0aff')],
    ['a payload that is no such message', FrameType.response, bytes('1202 0aff')],
    ['a stream where one answer is due', FrameType.data, bytes('0801')],
    ['a request', FrameType.request, greetA],
  ] as const)
    test(`fails a call with Internal on ${breach}, and keeps the connection`, async () => {
      await using conversation = await facePeer();
      const { client, peer } = conversation;
      const call = client.greet({});
      await peer.next();
      peer.sendFrame(1, type, 0, body);
      await assert.rejects(call, { code: 'Internal', status: 13 });
      await expectAlive(conversation, 3);
    });

  test('ignores what comes on streams that it does not know', async () => {
    await using conversation = await facePeer();
    const { peer } = conversation;
    peer.sendFrame(9, FrameType.response, 0, helloA);
    peer.sendFrame(2, FrameType.data, 0, helloA);
    peer.sendFrame(11, FrameType.response, 0, Buffer.alloc(messageLimit + 1));
    await expectAlive(conversation, 1);
  });

  test('fails what waits with Unavailable when the server leaves, and says how it left', async () => {
    for (const [last, words] of [
      [bytes('00000003 00000001 02 00 12'), /closed it in the middle of a frame/],
      [bytes(''), /the peer closed it/],
    ] as const) {
      await using conversation = await facePeer();
      const { client, connection, peer } = conversation;
      const call = client.greet({});
      const stream = client.count({}).next();
      await peer.next();
      await peer.next();
      peer.socket.end(last);
      await assert.rejects(call, { code: 'Unavailable', message: words });
      await assert.rejects(stream, { code: 'Unavailable', message: words });
      await connection.closed;
    }
  });

  test('of a stream that is closed already finds every call Unavailable', async () => {
    const [near] = duplexPair();
    near.destroy();
    await using connection = new TtrpcConnection(near);
    await assert.rejects(createClient(Story, connection).greet({}), { code: 'Unavailable' });
    await connection.closed;
  });
});

async function expectHello(peer: RawPeer, streamId: number): Promise<void> {
  assert.deepEqual(await peer.next(), { streamId, type: FrameType.response, flags: 0, body: helloA });
}

/** Expects a response whose status has a code below 128, and a message. */
async function expectStatus(peer: RawPeer, streamId: number, code: number): Promise<void> {
  const frame = await peer.next();
  assert.deepEqual([frame?.streamId, frame?.type, frame?.flags], [streamId, FrameType.response, 0]);
  const status = frame?.body.subarray(frame.body.indexOf(8));
  assert.deepEqual([frame?.body[0], status?.[0], status?.[1], status?.[2]], [0x0a, 0x08, code, 0x12]);
}

async function expectAlive(
  { client, peer }: Awaited<ReturnType<typeof facePeer>>,
  streamId: number,
): Promise<void> {
  const call = client.greet({ name: 'a' });
  assert.equal((await peer.next())?.streamId, streamId);
  peer.sendFrame(streamId, FrameType.response, 0, helloA);
  assert.equal((await call).greeting, 'Hello a');
}
