import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { VhostUserVsock } from './device.ts';
import { PacketOperation } from './packet.ts';
import { receiveRing, transmitRing } from './testing/fake-front-end.ts';
import { FakeGuest, type GuestSocket, guestCid } from './testing/fake-guest.ts';

const hostPort = 5000;

interface Bench extends AsyncDisposable {
  readonly device: VhostUserVsock;
  readonly guest: FakeGuest;
  readonly socketPath: string;
}

async function bench(options?: { receiveBuffers?: number }): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-vsock-'));
  const socketPath = join(directory, 'vsock');
  const device = await VhostUserVsock.listen({ socketPath, guestCid });
  const guest = await FakeGuest.boot(socketPath, options);
  return {
    device,
    guest,
    socketPath,
    async [Symbol.asyncDispose]() {
      await device.close();
      await guest[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

/** A connection that the guest made: both its ends. */
async function connected({ device, guest }: Bench, guestPort = 1234): Promise<[Duplex, GuestSocket]> {
  await using listener = device.listen(hostPort);
  const socket = guest.connect(hostPort, guestPort);
  const stream = ignoringErrors(await listener.accept());
  assert.equal(await socket.opened(), true);
  return [stream, socket];
}

/** The end of a test resets what is still open. */
function ignoringErrors(stream: Duplex): Duplex {
  return stream.on('error', () => {});
}

/** Ordered bytes that no shift or swap leaves as they are. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4)
    bytes.writeUInt32LE((at * 2654435761) >>> 0, Math.min(at, length - 4));
  return bytes;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

test('the guest connects, both sides talk, each closes its direction on its own', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  stream.end('from the host');
  await socket.until(() => socket.shutdownFlags !== 0);
  assert.equal(socket.shutdownFlags, 2);
  assert.equal(socket.received.toString(), 'from the host');
  await socket.send(Buffer.from('still from the guest'));
  socket.shutdown(2);
  assert.equal((await readAll(stream)).toString(), 'still from the guest');
  await socket.until(() => socket.operations.includes(PacketOperation.reset));
  assert.equal(setup.device.statistics.connections, 0);
});

test('the guest may end first and still be answered', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  await socket.send(Buffer.from('question'));
  socket.shutdown(2);
  assert.equal((await readAll(stream)).toString(), 'question');
  stream.end('answer');
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(socket.received.toString(), 'answer');
});

test('the host connects to the guest', async () => {
  await using setup = await bench();
  const accepted = setup.guest.accept(77);
  const stream = await setup.device.connect(77);
  const socket = await accepted;
  stream.write('hello');
  await socket.until(() => socket.receivedBytes === 5);
  await socket.send(Buffer.from('world'));
  assert.equal(String((await once(stream, 'data'))[0]), 'world');
  stream.destroy();
  await socket.until(() => socket.operations.includes(PacketOperation.reset));
});

test('nobody listening is ECONNREFUSED on either side', async () => {
  await using setup = await bench();
  await assert.rejects(setup.device.connect(78), { code: 'ECONNREFUSED', message: /port 78/ });
  const socket = setup.guest.connect(hostPort, 1);
  assert.equal(await socket.opened(), false);
  assert.equal(setup.device.statistics.connections, 0);
});

test('a connect ends when its signal aborts, and the guest is told', async () => {
  await using setup = await bench();
  // Without buffers to receive into, the guest never sees the request.
  setup.guest.frontEnd.onPacket = () => {};
  await assert.rejects(setup.device.connect(79, { signal: AbortSignal.timeout(20) }), {
    name: 'TimeoutError',
  });
  assert.equal(setup.device.statistics.connections, 0);
});

test('many megabytes arrive byte for byte, both ways at once', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const toGuest = pattern(20 << 20);
  const toHost = pattern((20 << 20) + 4321);
  stream.end(toGuest);
  const sending = socket.send(toHost).then(() => socket.shutdown(2));
  const got = await readAll(stream);
  await sending;
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(sha256(got), sha256(toHost));
  assert.equal(sha256(socket.received), sha256(toGuest));
});

test('streams share the device: a large one does not hold up a small one', async () => {
  await using setup = await bench();
  const [bulk, bulkSocket] = await connected(setup, 1);
  const [small, smallSocket] = await connected(setup, 2);
  bulk.end(Buffer.alloc(32 << 20));
  await bulkSocket.until(() => bulkSocket.receivedBytes > 0);
  small.write('ping');
  await smallSocket.until(() => smallSocket.receivedBytes === 4);
  assert.ok(bulkSocket.receivedBytes < 32 << 20);
  await bulkSocket.until(() => bulkSocket.receivedBytes === 32 << 20);
});

test('a host that does not read stops the guest at its credit, and reading lets it go on', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const data = pattern(1 << 20);
  const sending = socket.send(data).then(() => socket.shutdown(2));
  while (socket.credit > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(stream.readableLength, 256 << 10);
  const got = await readAll(stream);
  await sending;
  assert.equal(sha256(got), sha256(data));
});

test('a guest that does not read stops the host at its credit, and reading lets it go on', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  socket.reading = false;
  const data = pattern(1 << 20);
  let written = false;
  stream.end(data, () => {
    written = true;
  });
  await socket.until(() => socket.operations.includes(PacketOperation.creditRequest));
  assert.equal(socket.receivedBytes, 256 << 10);
  assert.equal(written, false);
  socket.reading = true;
  socket.grantCredit();
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(sha256(socket.received), sha256(data));
});

test('a guest that gives few buffers gets its data all the same', async () => {
  await using setup = await bench({ receiveBuffers: 2 });
  const [stream, socket] = await connected(setup);
  const data = pattern(1 << 20);
  stream.end(data);
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(sha256(socket.received), sha256(data));
  assert.ok(setup.device.statistics.receiveRingEmpty > 0);
});

test('after a full close by the guest what has arrived stays readable, and the answer is a reset', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  await socket.send(pattern(100_000));
  socket.shutdown(3);
  await socket.until(() => socket.operations.includes(PacketOperation.reset));
  const closed = once(stream, 'close');
  assert.equal(sha256(await readAll(stream)), sha256(pattern(100_000)));
  await closed;
  assert.equal(stream.errored, null);
});

test('writing to a guest that has closed is EPIPE, after the last bytes were read', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  await socket.send(Buffer.from('last words'));
  socket.shutdown(3);
  await socket.until(() => socket.operations.includes(PacketOperation.reset));
  stream.write('too late');
  const error = once(stream, 'error');
  assert.equal(String((await once(stream, 'data'))[0]), 'last words');
  assert.equal(((await error) as NodeJS.ErrnoException[])[0]?.code, 'EPIPE');
});

test('a reset by the guest is ECONNRESET', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const error = once(stream, 'error');
  socket.transmit(PacketOperation.reset);
  assert.equal(((await error) as NodeJS.ErrnoException[])[0]?.code, 'ECONNRESET');
});

test('a reset after both have said all is a plain close', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  stream.end('bye');
  await socket.until(() => socket.shutdownFlags === 2);
  const closed = once(stream, 'close');
  socket.shutdown(2);
  socket.transmit(PacketOperation.reset);
  stream.resume();
  await closed;
  assert.equal(stream.errored, null);
});

test('a guest that overruns its credit loses that stream and no other', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup, 1);
  const [other, otherSocket] = await connected(setup, 2);
  const error = once(stream, 'error');
  for (let sent = 0; sent <= 256 << 10; sent += 64 << 10) {
    socket.transmit(PacketOperation.data, { data: Buffer.alloc(64 << 10) });
  }
  assert.match(String(((await error) as Error[])[0]), /more than its credit/);
  await socket.until(() => socket.operations.includes(PacketOperation.reset));
  other.write('fine');
  await otherSocket.until(() => otherSocket.receivedBytes === 4);
});

test('tiny packets that nobody reads are kept together, up to the same credit', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const data = pattern(256 << 10);
  await socket.send(data.subarray(0, 20_000), 1);
  await socket.send(data.subarray(20_000), 1000);
  assert.equal(socket.credit, 0);
  socket.shutdown(2);
  while (setup.device.statistics.bytesFromGuest < data.length) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  let chunks = 0;
  stream.on('data', () => chunks++);
  assert.equal(sha256(await readAll(stream)), sha256(data));
  assert.ok(chunks < 200, `${chunks} chunks`);
});

test('tiny packets count against the credit that they take', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const error = once(stream, 'error');
  await socket.send(Buffer.alloc(256 << 10), 500);
  socket.transmit(PacketOperation.data, { data: Buffer.alloc(1) });
  assert.match(String(((await error) as Error[])[0]), /more than its credit/);
});

/** Ways to read a stream to its end. */
const readers: Record<string, (stream: Duplex) => Promise<Buffer>> = {
  'in flow': readAll,
  'by iteration': async (stream) =>
    Buffer.concat(await Array.fromAsync(stream.iterator({ destroyOnReturn: false }))),
  'in flow, with pauses': (stream) => {
    stream.on('data', () => {
      stream.pause();
      setImmediate(() => stream.resume());
    });
    return readAll(stream);
  },
  'by pieces of a given size': async (stream) => {
    const pieces: Buffer[] = [];
    stream.on('readable', () => {
      for (let piece = stream.read(7000); piece !== null; piece = stream.read(7000)) pieces.push(piece);
    });
    await once(stream, 'end');
    return Buffer.concat(pieces);
  },
};

for (const [name, read] of Object.entries(readers)) {
  test(`packets of all sizes read ${name} arrive in order and give their credit back`, async () => {
    await using setup = await bench();
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 9000 })), {
      minLength: 1,
      maxLength: 300,
    });
    let guestPort = 1;
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (lengths, readLate) => {
        const [stream, socket] = await connected(setup, guestPort++);
        const data = pattern(
          Math.max(
            4,
            lengths.reduce((total, length) => total + length, 0),
          ),
        );
        const send = async (): Promise<void> => {
          let at = 0;
          for (const length of lengths) {
            await socket.send(data.subarray(at, at + length));
            at += length;
          }
          await socket.send(data.subarray(at));
          socket.shutdown(2);
        };
        const sending = send();
        if (readLate) await new Promise((resolve) => setTimeout(resolve, 1));
        const got = await read(stream);
        await sending;
        assert.equal(sha256(got), sha256(data));
        // Each packet tells what was forwarded.
        stream.write('.');
        await socket.until(() => socket.receivedBytes === 1);
        assert.equal(socket.credit, 256 << 10);
        stream.end();
      }),
      { numRuns: 10 },
    );
  });
}

test('a packet for no connection is answered by a reset, from another context id not at all', async () => {
  await using setup = await bench();
  const { frontEnd } = setup.guest;
  const header = {
    sourceCid: guestCid,
    destinationCid: 2,
    sourcePort: 9,
    destinationPort: 10,
    length: 0,
    type: 1,
    operation: PacketOperation.creditUpdate,
    flags: 0,
    bufferSize: 0,
    forwarded: 0,
  };
  frontEnd.transmit({ ...header, sourceCid: 99, sourcePort: 1 });
  frontEnd.transmit({ ...header, operation: PacketOperation.reset, sourcePort: 2 });
  frontEnd.transmit(header);
  while (setup.guest.strays.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(
    setup.guest.strays.map(({ header: { operation, destinationPort } }) => [operation, destinationPort]),
    [[PacketOperation.reset, 9]],
  );
});

test('connections wait to be accepted, up to a bound', async () => {
  await using setup = await bench();
  const listener = setup.device.listen(hostPort);
  const sockets = Array.from({ length: 130 }, (_, index) => setup.guest.connect(hostPort, 2000 + index));
  const opened = await Promise.all(sockets.map((socket) => socket.opened()));
  assert.equal(opened.filter((open) => open).length, 128);
  assert.deepEqual(opened.slice(-2), [false, false]);
  const first = ignoringErrors(await listener.accept());
  first.write('you');
  await sockets[0]!.until(() => sockets[0]!.receivedBytes === 3);
  await listener[Symbol.asyncDispose]();
  await sockets[1]!.until(() => sockets[1]!.operations.includes(PacketOperation.reset));
  await assert.rejects(listener.accept(), { code: 'ECANCELED' });
});

test('a port is taken until its listener is closed', async () => {
  await using setup = await bench();
  const listener = setup.device.listen(hostPort);
  assert.throws(() => setup.device.listen(hostPort), { code: 'EADDRINUSE' });
  const waiting = listener.accept();
  waiting.catch(() => {});
  await assert.rejects(listener.accept({ signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' });
  await listener[Symbol.asyncDispose]();
  await assert.rejects(waiting, { code: 'ECANCELED' });
  await setup.device.listen(hostPort)[Symbol.asyncDispose]();
});

test('when the monitor goes, streams are reset, and another monitor finds the same listeners', async () => {
  await using setup = await bench();
  const { device } = setup;
  const [stream] = await connected(setup);
  const listener = device.listen(hostPort);
  const error = once(stream, 'error');
  const gone = once(device, 'gone');
  await setup.guest[Symbol.asyncDispose]();
  await gone;
  assert.equal(((await error) as NodeJS.ErrnoException[])[0]?.code, 'ECONNRESET');
  await assert.rejects(device.connect(1), { code: 'ENODEV' });

  const device2 = once(device, 'device');
  await using guest = await FakeGuest.boot(setup.socketPath);
  await device2;
  const socket = guest.connect(hostPort, 1);
  const [again] = await Promise.all([listener.accept(), socket.opened()]);
  ignoringErrors(again).end('hello again');
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(socket.received.toString(), 'hello again');
});

test('a pause of the VM loses nothing', async () => {
  await using setup = await bench();
  const { frontEnd } = setup.guest;
  const [stream, socket] = await connected(setup);
  const data = pattern(4 << 20);
  stream.end(data);
  await socket.until(() => socket.receivedBytes > 1 << 20);
  const bases = [await frontEnd.stopRing(receiveRing), await frontEnd.stopRing(transmitRing)];
  await new Promise((resolve) => setTimeout(resolve, 20));
  await frontEnd.startRing(receiveRing, bases[0]!);
  await frontEnd.startRing(transmitRing, bases[1]!);
  frontEnd.collect();
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(sha256(socket.received), sha256(data));
});

test('a reboot of the guest resets its streams', async () => {
  await using setup = await bench();
  const [stream] = await connected(setup);
  const error = once(stream, 'error');
  assert.notEqual(await setup.guest.frontEnd.stopRing(transmitRing), 0);
  await setup.guest.frontEnd.startRing(transmitRing, 0).catch(() => {});
  assert.match(String(((await error) as Error[])[0]), /driver began anew/);
});

test('memory may be shared anew while streams run', async () => {
  await using setup = await bench();
  const [stream, socket] = await connected(setup);
  const data = pattern(4 << 20);
  stream.end(data);
  await socket.until(() => socket.receivedBytes > 1 << 20);
  await setup.guest.frontEnd.shareMemory();
  await socket.until(() => socket.shutdownFlags === 2);
  assert.equal(sha256(socket.received), sha256(data));
});

test('closing leaves no descriptor and no socket behind', async () => {
  const settled = async () => {
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    return readdirSync('/proc/self/fd').length;
  };
  const before = await settled();
  let path: string;
  {
    await using setup = await bench();
    path = setup.socketPath;
    await connected(setup);
  }
  assert.equal(await settled(), before);
  assert.equal(existsSync(path), false);
});

test('a context id that is taken by others is refused', async () => {
  await assert.rejects(VhostUserVsock.listen({ socketPath: '/nonexistent', guestCid: 2 }), RangeError);
});
