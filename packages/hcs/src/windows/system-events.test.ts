import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemEvent } from './system-events.ts';

test('an event of a system has its name and its document, also when nobody knows it', () => {
  assert.deepEqual(systemEvent({ type: 3, data: '{"CrashLog":"oops"}' }), {
    type: 'CrashReport',
    code: 3,
    data: { CrashLog: 'oops' },
  });
  assert.deepEqual(systemEvent({ type: 6, data: null }), {
    type: 'GuestConnectionClosed',
    code: 6,
    data: undefined,
  });
  assert.deepEqual(systemEvent({ type: 0x7abcdef0, data: 'no JSON {' }), {
    type: 'Unknown',
    code: 0x7abcdef0,
    data: 'no JSON {',
  });
});

test('the end of a system and of the service are told to those who wait instead', () => {
  for (const type of [1, 0x02000000]) assert.equal(systemEvent({ type, data: '{}' }), undefined);
});
