import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { Story } from './generated/story_pb.ts';
import { createClient, TtrpcConnection, TtrpcError, TtrpcServer } from './index.ts';
import { bytes, frame } from './testing/peers.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 300);

const service = bytes('0a14', '"ttrpc.story.v1.Story"');
const bodies = [
  ...['Greet', 'Sum', 'Count', 'Double', 'None'].map((method) =>
    Buffer.concat([service, bytes(`12 0${method.length}`, `"${method}"`, '1a02 0803')]),
  ),
  bytes('0803'),
  bytes('1202 0803'),
  bytes('0a02 0805'),
  bytes(''),
];
const frames = fc.array(
  fc
    .tuple(
      fc.constantFrom(1, 3, 5, 7, 2, 0xffffffff),
      fc.constantFrom(1, 2, 3, 3, 9),
      fc.nat(7),
      fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...bodies) }, fc.uint8Array({ maxLength: 40 })),
    )
    .map((parts) => frame(...parts)),
  { maxLength: 20 },
);
/** What a peer sends before it leaves, the last frame perhaps not whole. */
const speech = fc
  .tuple(frames, fc.nat(12))
  .map(([sent, missing]) => Buffer.concat(sent).subarray(0, -missing || undefined));

test('no frames of a client leave a handler or a connection of the server behind', async () => {
  await fc.assert(
    fc.asyncProperty(speech, async (sent) => {
      const server = new TtrpcServer();
      let running = 0;
      server.register(Story, {
        greet: async () => ({}),
        async sum(requests) {
          running++;
          try {
            for await (const _request of requests);
            return {};
          } finally {
            running--;
          }
        },
        async *count({ value }) {
          for (let next = 0; next < Math.min(value, 10); next++) yield { value: next };
        },
        async *double(requests) {
          running++;
          try {
            for await (const { value } of requests) yield { value: value / 2 };
          } finally {
            running--;
          }
        },
      });
      const [near, far] = duplexPair();
      server.accept(near);
      far.resume();
      far.end(sent);
      await new Promise((resolve) => near.once('close', resolve));
      await server.shutdown({ signal: AbortSignal.timeout(20_000) });
      assert.equal(running, 0);
    }),
    { numRuns },
  );
});

test('no frames of a server leave a call of the client without an end', async () => {
  await fc.assert(
    fc.asyncProperty(speech, async (sent) => {
      const [near, far] = duplexPair();
      await using connection = new TtrpcConnection(near);
      const client = createClient(Story, connection);
      async function* requests() {
        yield { value: 1 };
        yield { value: 2 };
      }
      const calls = [
        client.greet({}),
        client.sum(requests()),
        Array.fromAsync(client.count({ value: 3 })),
        Array.fromAsync(client.double(requests())),
      ];
      far.resume();
      far.end(sent);
      for (const outcome of await Promise.allSettled<unknown>(calls))
        if (outcome.status === 'rejected')
          assert.ok(outcome.reason instanceof TtrpcError, String(outcome.reason));
      await connection.closed;
    }),
    { numRuns },
  );
});
