import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeviceFault } from './device-fault.ts';
import {
  decodeMessageHeader,
  decodeRequest,
  encodeConfig,
  encodeNumber,
  encodeReply,
  encodeRingState,
  maxMessagePayload,
} from './vhost-user.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

// Bytes written down from QEMU's docs/interop/vhost-user.rst.
test('a memory table is read', () => {
  assert.deepEqual(decodeMessageHeader(hex('05000000 09000000 28000000')), {
    request: 5,
    size: 0x28,
    needsReply: true,
  });
  const payload = hex(
    '01000000 00000000 0000000001000000 0000002000000000 000080f7ff7f0000 0010000000000000',
  );
  assert.deepEqual(decodeRequest(5, payload), {
    kind: 'set-memory-table',
    regions: [
      { guestAddress: 0x1_0000_0000, size: 0x2000_0000, userAddress: 0x7fff_f780_0000, offset: 0x1000 },
    ],
  });
});

test('the set-up of a ring is read', () => {
  assert.deepEqual(decodeRequest(8, hex('01000000 80000000')), {
    kind: 'set-ring-size',
    ring: 1,
    size: 128,
  });
  const addresses = hex(
    '01000000 00000000 0010000000000000 0030000000000000 0020000000000000 0000000000000000',
  );
  assert.deepEqual(decodeRequest(9, addresses), {
    kind: 'set-ring-addresses',
    ring: 1,
    addresses: { descriptors: 0x1000, used: 0x3000, available: 0x2000 },
  });
  assert.deepEqual(decodeRequest(12, hex('0100000000000000')), {
    kind: 'set-ring-kick',
    ring: 1,
    hasFd: true,
  });
  assert.deepEqual(decodeRequest(13, hex('0001000000000000')), {
    kind: 'set-ring-call',
    ring: 0,
    hasFd: false,
  });
  assert.deepEqual(decodeRequest(18, hex('00000000 01000000')), {
    kind: 'set-ring-enabled',
    ring: 0,
    enabled: true,
  });
});

test('replies have version 1 and the reply flag', () => {
  const reply = (request: number, payload: Uint8Array) => Buffer.from(encodeReply(request, payload));
  assert.deepEqual(reply(1, encodeNumber(1n << 32n)), hex('01000000 05000000 08000000 0000000001000000'));
  assert.deepEqual(reply(11, encodeRingState(1, 7)), hex('0b000000 05000000 08000000 01000000 07000000'));
  assert.deepEqual(
    reply(24, encodeConfig(0, encodeNumber(42n))),
    hex('18000000 05000000 14000000 00000000 08000000 00000000 2a00000000000000'),
  );
});

test('a message that claims too much, another version, or to be a reply is a fault', () => {
  assert.throws(() => decodeMessageHeader(hex('05000000 01000000 01100000')), DeviceFault);
  assert.throws(() => decodeMessageHeader(hex('05000000 02000000 08000000')), DeviceFault);
  assert.throws(() => decodeMessageHeader(hex('05000000 05000000 08000000')), DeviceFault);
});

test('a memory table that is longer than its message is a fault', () => {
  assert.throws(() => decodeRequest(5, hex('02000000 00000000').fill(0, 8)), DeviceFault);
  assert.throws(() => decodeRequest(5, hex('ffffffff 00000000')), DeviceFault);
});

test('an unknown request is told apart from a bad one', () => {
  assert.equal(decodeRequest(999, new Uint8Array()), undefined);
  assert.throws(() => decodeRequest(9, new Uint8Array(39)), DeviceFault);
});

test('whatever bytes come, decoding gives a request, nothing, or a fault', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 40 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      (request, payload, header) => {
        for (const decode of [() => decodeRequest(request, payload), () => decodeMessageHeader(header)]) {
          try {
            const result = decode();
            if (result !== undefined && 'size' in result && 'needsReply' in result) {
              assert.ok(result.size <= maxMessagePayload);
            }
          } catch (error) {
            assert.ok(error instanceof DeviceFault, String(error));
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});
