import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { VhostUserVsock } from './device.ts';
import { FakeFrontEnd, guestBase, pair, receiveRing, transmitRing, u64 } from './testing/fake-front-end.ts';
import { FakeGuest, guestCid } from './testing/fake-guest.ts';

async function startDevice(): Promise<AsyncDisposable & { device: VhostUserVsock; socketPath: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-hostile-'));
  const socketPath = join(directory, 'vsock');
  const device = await VhostUserVsock.listen({ socketPath, guestCid });
  return {
    device,
    socketPath,
    async [Symbol.asyncDispose]() {
      await device.close();
      await rm(directory, { recursive: true });
    },
  };
}

const freeDescriptor = 100;
const somewhere = guestBase + 0x8000;

/** What a guest may try, and what the device says of it. */
const attacks: Record<string, { attempt: (frontEnd: FakeFrontEnd) => void; fault: RegExp }> = {
  'an address outside its memory': {
    attempt: (frontEnd) => give(frontEnd, { address: 0x10, length: 44 }),
    fault: /44 bytes at address 0x10/,
  },
  'an address whose end wraps around': {
    attempt: (frontEnd) => give(frontEnd, { address: 0xffff_ffff_ffff_f000, length: 0xffff_ffff }),
    fault: /not its memory/,
  },
  'a buffer that begins inside and ends outside its memory': {
    attempt: (frontEnd) => give(frontEnd, { address: guestBase + (16 << 20) - 40, length: 44 }),
    fault: /not its memory/,
  },
  'a chain that loops': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 44, flags: 1, next: freeDescriptor }),
    fault: /loops/,
  },
  'a descriptor beyond the table': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 44, flags: 1, next: 4000 }),
    fault: /descriptor 4000/,
  },
  'a head beyond the table': {
    attempt: (frontEnd) => frontEnd.publish(transmitRing, 0xffff),
    fault: /descriptor 65535/,
  },
  'more buffers than the ring has': {
    attempt: (frontEnd) => frontEnd.setAvailableIndex(transmitRing, 1000),
    fault: /999 buffers in a ring of 128/,
  },
  'a buffer too short for a header': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 43 }),
    fault: /43 bytes, which is too short/,
  },
  'an empty buffer': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 0 }),
    fault: /too short/,
  },
  'a buffer to be written where one to be read belongs': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 44, flags: 2 }),
    fault: /flags 2/,
  },
  'an indirect table, which was not offered': {
    attempt: (frontEnd) => give(frontEnd, { address: somewhere, length: 48, flags: 4 }),
    fault: /flags 4/,
  },
  'a packet with less data than its header says': {
    attempt: (frontEnd) => {
      writeDataHeader(frontEnd, 1000);
      give(frontEnd, { address: somewhere, length: 54 });
    },
    fault: /54 bytes, which is too short/,
  },
  'a packet of a gigabyte': {
    attempt: (frontEnd) => {
      writeDataHeader(frontEnd, 1 << 30);
      give(frontEnd, { address: somewhere, length: 8 << 20 });
    },
    fault: /1073741824 bytes of data/,
  },
};

function give(
  frontEnd: FakeFrontEnd,
  descriptor: { address: number; length: number; flags?: number; next?: number },
): void {
  frontEnd.writeDescriptor(transmitRing, freeDescriptor, { flags: 0, next: 0, ...descriptor });
  frontEnd.publish(transmitRing, freeDescriptor);
}

function writeDataHeader(frontEnd: FakeFrontEnd, length: number): void {
  frontEnd.view.setUint32(0x8000 + 24, length, true);
  frontEnd.view.setUint16(0x8000 + 30, 5, true);
}

for (const [name, { attempt, fault }] of Object.entries(attacks)) {
  test(`${name} stops the device, not the process`, async () => {
    await using setup = await startDevice();
    const { device, socketPath } = setup;
    const listener = device.listen(1);
    await using guest = await FakeGuest.boot(socketPath);
    guest.connect(1, 1);
    const stream = await listener.accept();
    const reset = once(stream, 'error');
    const faulted = once(device, 'fault');
    const gone = once(device, 'gone');
    attempt(guest.frontEnd);
    guest.frontEnd.kick(transmitRing);
    assert.match(((await faulted) as Error[])[0]!.message, fault);
    const [error] = (await reset) as NodeJS.ErrnoException[];
    assert.equal(error!.code, 'ECONNRESET');
    assert.match(String(error!.cause), fault);
    await gone;

    await using another = await FakeGuest.boot(socketPath);
    assert.equal(await another.connect(1, 2).opened(), true);
  });
}

test('a receive buffer too short for a header stops the device', async () => {
  await using setup = await startDevice();
  await using frontEnd = await FakeFrontEnd.connect(setup.socketPath, { receiveBuffers: 0 });
  frontEnd.writeDescriptor(receiveRing, 0, { address: somewhere, length: 20, flags: 2, next: 0 });
  frontEnd.publish(receiveRing, 0);
  const faulted = once(setup.device, 'fault');
  await assert.rejects(setup.device.connect(5), { code: 'ECONNRESET' });
  assert.match(((await faulted) as Error[])[0]!.message, /20 bytes, which is too short/);
});

test('a guest that reads no answers makes the device wait, not grow', async () => {
  await using setup = await startDevice();
  await using guest = await FakeGuest.boot(setup.socketPath, { receiveBuffers: 0 });
  const { device } = setup;
  const socket = guest.connect(1, 1);
  for (let index = 0; index < 5000; index++) socket.transmit(1);
  let before = -1;
  while (device.statistics.packetsFromGuest !== before) {
    before = device.statistics.packetsFromGuest;
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      guest.frontEnd.collect();
    }
  }
  assert.ok(before > 1000 && before < 1200, `took ${before} packets`);
});

test('random bytes all over the rings end in a fault or in nothing', async () => {
  await using setup = await startDevice();
  setup.device.listen(1);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(127), async (bytes, head) => {
      const frontEnd = await FakeFrontEnd.connect(setup.socketPath);
      for (let at = 0x4000; at < 0x4800; at += bytes.length) frontEnd.memory.set(bytes, at);
      // Half of the time addresses point into the memory, so that the walk goes deeper.
      if (bytes[0]! & 1) {
        for (let entry = 0; entry < 128; entry++) {
          frontEnd.view.setBigUint64(0x4000 + entry * 16, BigInt(guestBase + 0x4000 + bytes[1]! * 64), true);
          frontEnd.view.setUint32(0x4000 + entry * 16 + 8, bytes[2]! * 16, true);
        }
      }
      frontEnd.publish(transmitRing, head);
      frontEnd.kick(transmitRing);
      for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      await frontEnd[Symbol.asyncDispose]();
    }),
    { numRuns: 100 },
  );
  await using guest = await FakeGuest.boot(setup.socketPath);
  assert.equal(await guest.connect(1, 1).opened(), true);
});

/** What a monitor may get wrong before the rings run. */
const mistakes: Record<string, (frontEnd: FakeFrontEnd) => Promise<unknown>> = {
  'a ring that the device does not have': (frontEnd) => frontEnd.request(8, pair(7, 128)),
  'a ring whose size is no power of two': (frontEnd) => frontEnd.request(8, pair(0, 100)),
  'a ring of no entries': (frontEnd) => frontEnd.request(8, pair(0, 0)),
  'a memory table without its descriptor': (frontEnd) => frontEnd.request(5, memoryTable(1 << 20, 0)),
  'a memory region larger than its file': async (frontEnd) => {
    const { createMemfd, closeFd } = await import('@hcsshim/linux');
    const fd = createMemfd('small', 4096);
    await frontEnd.request(5, memoryTable(1 << 20, 0), { fds: [fd] }).finally(() => closeFd(fd));
  },
  'ring addresses before any memory': async (frontEnd) => {
    await frontEnd.request(8, pair(0, 128));
    await frontEnd.request(9, Buffer.alloc(40));
  },
  'features that were not offered': (frontEnd) => frontEnd.request(2, u64(1n << 35n)),
  'a kick without its descriptor': (frontEnd) => frontEnd.request(12, u64(0x100n)),
};

function memoryTable(size: number, offset: number): Buffer {
  const table = Buffer.alloc(40);
  table.writeUInt32LE(1, 0);
  table.writeBigUInt64LE(BigInt(guestBase), 8);
  table.writeBigUInt64LE(BigInt(size), 16);
  table.writeBigUInt64LE(1n << 40n, 24);
  table.writeBigUInt64LE(BigInt(offset), 32);
  return table;
}

for (const [name, attempt] of Object.entries(mistakes)) {
  test(`a monitor that sends ${name} is hung up on`, async () => {
    await using setup = await startDevice();
    const { connectUnix } = await import('@hcsshim/linux');
    await using frontEnd = new FakeFrontEnd(await connectUnix(setup.socketPath));
    const faulted = once(setup.device, 'fault');
    await assert.rejects(attempt(frontEnd), { code: /EPIPE|ECONNRESET/ });
    await faulted;
  });
}

test('an unknown request is refused by its acknowledgement and changes nothing', async () => {
  await using setup = await startDevice();
  await using frontEnd = await FakeFrontEnd.connect(setup.socketPath);
  assert.equal((await frontEnd.request(99, new Uint8Array(8))).readBigUInt64LE(), 1n);
  const config = await frontEnd.request(24, Buffer.concat([pair(0, 8), Buffer.alloc(12)]), { replies: true });
  assert.equal(config.readBigUInt64LE(12), BigInt(guestCid));
});
