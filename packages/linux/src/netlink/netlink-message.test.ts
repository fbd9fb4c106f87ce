import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeLink } from './links.ts';
import {
  decodeAttributeList,
  decodeAttributes,
  decodeMessages,
  encodeAttributes,
  encodeMessage,
  type NetlinkAttribute,
  NetlinkFormatError,
  readText,
  readU32,
  text,
  u32,
} from './netlink-message.ts';
import { encodeRuleExpressions } from './nftables.ts';
import { addressIn, masquerade } from './nftables-expressions.ts';
import { decodeRoute, encodeRoute } from './routes.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

// The bytes here were put together from the structures of linux/netlink.h, rtnetlink.h and nf_tables.h by hand.
test('a request to make a bridge is these bytes', () => {
  const bridge = encodeLink({ up: true }, [
    [3, text('br0')],
    [1, Uint8Array.of(2, 0, 0, 0, 0, 1)],
    [18, [[1, text('bridge')]]],
  ]);
  assert.equal(
    hex(bridge),
    '00000000000000000100000001000000' +
      '0800030062723000' +
      '0a00010002000000' +
      '00010000' +
      '10001280' +
      '0b0001006272696467650000',
  );
  const message = encodeMessage({
    type: 16,
    flags: 0x605,
    sequence: 7,
    payload: encodeLink({ up: true }, []),
  });
  assert.equal(hex(message), '20000000100005060700000000000000' + '00000000000000000100000001000000');
});

test('routes are these bytes, and come back from them', () => {
  const toAll = {
    index: 5,
    destination: new Uint8Array(4),
    prefixLength: 0,
    gateway: Buffer.of(10, 213, 0, 1),
  };
  assert.equal(hex(encodeRoute(toAll)), '02000000fe04000100000000' + '0800040005000000' + '080005000ad50001');
  assert.deepEqual(decodeRoute({ payload: encodeRoute(toAll) }), toAll);
  const toNeighbours = { index: 5, destination: Buffer.of(10, 244, 0, 0), prefixLength: 16, metric: 100 };
  assert.equal(
    hex(encodeRoute(toNeighbours)),
    '02100000fe04fd0100000000' + '0800040005000000' + '080001000af40000' + '0800060064000000',
  );
  assert.deepEqual(decodeRoute({ payload: encodeRoute(toNeighbours) }), toNeighbours);
});

test('the expressions of a masquerading rule are these bytes', () => {
  const network = Uint8Array.of(10, 213, 0, 0);
  const rule = [...addressIn('source', network, Uint8Array.of(255, 255, 255, 0)), ...masquerade()];
  const payload = '34000180' + '0c0001007061796c6f616400' + '24000280';
  const bitwise = '44000180' + '0c0001006269747769736500' + '34000280';
  const compare = '2c000180' + '08000100636d7000' + '20000280';
  const masq = '14000180' + '090001006d61737100000000' + '04000280';
  assert.equal(
    hex(encodeAttributes([encodeRuleExpressions(rule)])),
    `bc000480${payload}0800010000000001080002000000000108000300000000` +
      `0c0800040000000004${bitwise}080001000000000108000200000000010800030000000004` +
      `0c00048008000100ffffff000c0005800800010000000000${compare}` +
      `080001000000000108000200000000000c000380080001000ad50000${masq}`,
  );
});

const attribute: fc.Arbitrary<readonly [number, Uint8Array]> = fc.tuple(
  fc.integer({ min: 0, max: 0x3fff }),
  fc.uint8Array({ maxLength: 300 }),
);

test('attributes come back as they were encoded, whatever is in them', () => {
  fc.assert(
    fc.property(fc.array(attribute, { maxLength: 40 }), fc.integer({ min: 0, max: 0x3fff }), (list, type) => {
      const flat = decodeAttributeList(encodeAttributes(list)).map(([one, value]) => [one, [...value]]);
      assert.deepEqual(
        flat,
        list.map(([one, value]) => [one, [...value]]),
      );
      const nest: NetlinkAttribute = [type, list];
      const inner = decodeAttributes(encodeAttributes([nest])).get(type) ?? new Uint8Array();
      assert.equal(decodeAttributeList(inner).length, list.length);
    }),
  );
});

test('messages of a datagram come back as they were encoded', () => {
  const message = fc.record({
    type: fc.integer({ min: 0, max: 0xffff }),
    flags: fc.integer({ min: 0, max: 0xffff }),
    sequence: fc.integer({ min: 0, max: 0xffffffff }),
    payload: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), (messages) => {
      const decoded = decodeMessages(Buffer.concat(messages.map(encodeMessage)));
      assert.deepEqual(
        decoded.map((one) => ({ ...one, payload: [...one.payload] })),
        messages.map((one) => ({ ...one, payload: [...one.payload] })),
      );
    }),
  );
});

test('what is cut off, too long or too much is refused', () => {
  const message = encodeMessage({ type: 16, flags: 0, sequence: 1, payload: u32(1) });
  const refused = (work: () => unknown): void => assert.throws(work, NetlinkFormatError);
  refused(() => decodeMessages(message.subarray(0, 15)));
  refused(() => decodeMessages(message.subarray(0, 19)));
  refused(() => decodeMessages(new Uint8Array(16)));
  refused(() => decodeAttributeList(Uint8Array.of(3, 0, 1, 0)));
  refused(() => decodeAttributeList(Uint8Array.of(9, 0, 1, 0)));
  refused(() =>
    decodeAttributeList(encodeAttributes(Array.from({ length: 1025 }, () => [1, u32(0)] as const))),
  );
  assert.throws(
    () => encodeAttributes([[1, new Uint8Array(65_536)]]),
    /^RangeError: Cannot encode attribute 1: /,
  );
});

test('a number that is too short is none, and a text ends at its NUL', () => {
  assert.equal(readU32(Uint8Array.of(1, 2, 3)), undefined);
  assert.equal(readText(Buffer.from('eth0\0\0rest')), 'eth0');
  assert.equal(readText(undefined), undefined);
});
