import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UtilityVm } from '@hcsshim/uvm';
import { ExpectedVm } from './expected-vm.ts';

/** A start that this test ends, and what became of it. */
function stage() {
  const start = Promise.withResolvers<UtilityVm>();
  const seen = { ended: false };
  const vm = {
    async [Symbol.asyncDispose]() {
      seen.ended = true;
    },
  } as UtilityVm;
  const expected = new ExpectedVm({ id: 'x@vm', memoryMb: 512 }, (signal) => {
    signal.addEventListener('abort', () => start.reject(signal.reason));
    return start.promise;
  });
  return { expected, start, vm, seen };
}

const never = new AbortController().signal;

test('who takes an expected VM has it', async () => {
  const { expected, start, vm, seen } = stage();
  const taken = expected.take(never);
  start.resolve(vm);
  assert.equal(await taken, vm);
  await expected[Symbol.asyncDispose]();
  assert.equal(seen.ended, false);
});

test('an expected VM is for the same options only', () => {
  const { expected } = stage();
  assert.ok(expected.isFor({ id: 'x@vm', memoryMb: 512 }));
  assert.ok(!expected.isFor({ id: 'x@vm', memoryMb: 1024 }));
  assert.ok(!expected.isFor({ id: 'x@vm' }));
});

test('nobody took it: it is ended, whether it has started or not', async () => {
  const started = stage();
  started.start.resolve(started.vm);
  await started.expected.settled;
  await started.expected[Symbol.asyncDispose]();
  assert.ok(started.seen.ended);

  const starting = stage();
  await starting.expected[Symbol.asyncDispose]();
  await assert.rejects(starting.start.promise, { name: 'AbortError' });
});

test('a failed start is told to who takes it, and only then', async () => {
  const { expected, start } = stage();
  start.reject(new Error('no room'));
  await expected.settled;
  await assert.rejects(expected.take(never), { message: 'no room' });
});

test('who takes it can give it up', async () => {
  const { expected } = stage();
  const patience = new AbortController();
  const taken = expected.take(patience.signal);
  patience.abort(new Error('too long'));
  await assert.rejects(taken, { message: 'too long' });
});
