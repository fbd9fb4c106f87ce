import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAddress } from './addresses.ts';
import { decodeLink, encodeLink } from './links.ts';
import { decodeMessages, encodeMessage, NetlinkFormatError, text, u32 } from './netlink-message.ts';
import { decodeNftRule } from './nftables.ts';
import { decodeRoute, encodeRoute } from './routes.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 2000);

const link = encodeLink({ up: true }, [
  [3, text('eth0')],
  [18, [[1, text('veth')]]],
  [20, text('words')],
]);
const route = encodeRoute({ index: 1, destination: new Uint8Array(4), prefixLength: 0, gateway: u32(1) });
const datagram = Buffer.concat(
  [link, route].map((payload) => encodeMessage({ type: 16, flags: 2, sequence: 1, payload })),
);

/** A good datagram of which some bytes are others, and which may be cut off. */
const mutated = fc
  .tuple(
    fc.array(fc.tuple(fc.nat(datagram.length - 1), fc.nat(255)), { maxLength: 8 }),
    fc.nat(datagram.length),
  )
  .map(([changes, end]) => {
    const bytes = Buffer.from(datagram);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes.subarray(0, end);
  });

test('whatever the bytes are, decoders give objects of their shapes or a NetlinkFormatError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated), (bytes) => {
      const messages = attempt(() => decodeMessages(bytes)) ?? [];
      for (const message of [...messages, { payload: bytes }]) {
        const one = attempt(() => decodeLink(message));
        if (one !== undefined) assert.equal(typeof one.name, 'string');
        const address = attempt(() => decodeAddress(message));
        if (address !== undefined) assert.ok(address.prefixLength <= 255);
        const way = attempt(() => decodeRoute(message));
        if (way !== undefined) assert.ok(Number.isInteger(way.index));
        const rule = attempt(() => decodeNftRule(message));
        for (const name of rule?.expressions ?? []) assert.equal(typeof name, 'string');
      }
    }),
    { numRuns },
  );
});

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof NetlinkFormatError, String(error));
    assert.match(error.message, /^Cannot read a netlink message: /);
    return undefined;
  }
}
