import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArchiveIdentity } from './archive-identity.ts';

function identify(bytes: Uint8Array, chunk = bytes.length, options: object = {}): string {
  const identity = new ArchiveIdentity(options);
  for (let at = 0; at < bytes.length; at += chunk) identity.update(bytes.subarray(at, at + chunk));
  return Buffer.from(identity.digest()).toString('hex');
}

test('the id is that of the bytes, however they come', () => {
  const bytes = Buffer.alloc(70_000_000, 'archive');
  const id = identify(bytes);
  assert.match(id, /^.{12}8.{3}[89ab].{15}$/);
  for (const chunk of [65_536, 1_000_000, 1 << 20, 1001]) assert.equal(identify(bytes, chunk), id);
});

test('another byte, length or option has another id', () => {
  const bytes = Buffer.alloc(2_500_000, 'archive');
  const ids = [
    identify(bytes),
    identify(bytes.subarray(1)),
    identify(Buffer.concat([bytes, Buffer.alloc(1)])),
    identify(bytes, bytes.length, { overlay: true }),
    identify(Buffer.from(bytes).fill('x', 1_250_000, 1_250_001)),
  ];
  assert.equal(new Set(ids).size, ids.length);
});

test('in a large archive each 64 KiB has a part that counts', () => {
  const bytes = Buffer.alloc(66 << 20, 'archive');
  const id = identify(bytes);
  for (const at of [64 << 20, (65 << 20) + (3 << 16) + 4095, (66 << 20) - 65_536]) {
    bytes[at]! ^= 1;
    assert.notEqual(identify(bytes), id);
    bytes[at]! ^= 1;
  }
});
