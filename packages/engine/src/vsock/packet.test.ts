import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodePacketHeader, encodePacketHeader, type PacketHeader, packetHeaderSize } from './packet.ts';

const header: PacketHeader = {
  sourceCid: 3,
  destinationCid: 2,
  sourcePort: 0x0102_0304,
  destinationPort: 0x4000_0000,
  length: 5,
  type: 1,
  operation: 5,
  flags: 0,
  bufferSize: 0x0004_0000,
  forwarded: 0xffff_fff0,
};

// Written down from the table in virtio 1.2, section 5.10.6.
const bytes = Buffer.from(
  '0300000000000000' +
    '0200000000000000' +
    '04030201' +
    '00000040' +
    '05000000' +
    '0100' +
    '0500' +
    '00000000' +
    '00000400' +
    'f0ffffff',
  'hex',
);

test('a packet header has the bytes of the specification', () => {
  const encoded = new Uint8Array(packetHeaderSize);
  encodePacketHeader(new DataView(encoded.buffer), header);
  assert.equal(Buffer.from(encoded).toString('hex'), bytes.toString('hex'));
  assert.deepEqual(decodePacketHeader(new DataView(bytes.buffer, bytes.byteOffset, bytes.length)), header);
});

test('any header comes back as it went', () => {
  const u16 = fc.integer({ min: 0, max: 0xffff });
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const cid = fc.maxSafeNat();
  const anyHeader = fc.record({
    sourceCid: cid,
    destinationCid: cid,
    sourcePort: u32,
    destinationPort: u32,
    length: u32,
    type: u16,
    operation: u16,
    flags: u32,
    bufferSize: u32,
    forwarded: u32,
  });
  const view = new DataView(new ArrayBuffer(packetHeaderSize));
  fc.assert(
    fc.property(anyHeader, (value) => {
      encodePacketHeader(view, value);
      assert.deepEqual(decodePacketHeader(view), { ...value });
    }),
  );
});
