import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { HvListener } from '@hcsshim/bridge';
import type { ComputeSystem } from '../compute-service.ts';
import { runContractTest } from './contract-test.ts';
import type { ContractHarness } from './harness.ts';

const never = new Promise<never>(() => {});

/** Systems on which nothing ever happens, and a note of what was closed. */
function idleHarness() {
  const closed: string[] = [];
  const noteOf = (name: string) => async () => void closed.push(name);
  const connection = new PassThrough({
    destroy: (error, done) => {
      closed.push('connection');
      done(error);
    },
  });
  const listener: HvListener = {
    port: 1,
    accept: async () => connection,
    [Symbol.asyncDispose]: noteOf('listener'),
  };
  const create = async (id: string) =>
    ({
      id,
      wait: () => never,
      pendingOperations: () => [`start compute system "${id}" (for 0 s)`],
      [Symbol.asyncDispose]: noteOf(`system ${id}`),
    }) as Partial<ComputeSystem> as ComputeSystem;
  const harness = {
    compute: { create, open: create },
    sockets: { listen: async () => listener, connect: async () => connection },
  } as unknown as ContractHarness;
  return { harness, closed };
}

describe('a test of the contract', () => {
  test('closes what it has opened, the last first', async () => {
    const { harness, closed } = idleHarness();
    await runContractTest(
      async ({ compute, sockets }) => {
        await compute.create('a', {} as never);
        await (await sockets.listen('a', 1)).accept();
      },
      harness,
      1000,
    );
    assert.deepEqual(closed, ['connection', 'listener', 'system a']);
  });

  test('that waits in vain fails with what it waited for, and closes what it has opened', async () => {
    const { harness, closed } = idleHarness();
    const failing = runContractTest(
      async ({ compute, awaited }) => {
        const system = await compute.create('a', {} as never);
        await awaited('the crash', system.wait());
      },
      harness,
      20,
    );
    await assert.rejects(failing, {
      message: 'Nothing came within 0.02 s, waiting for the crash, start compute system "a" (for 0 s)',
    });
    assert.deepEqual(closed, ['system a']);
  });

  test('closes at once what comes after its end', async () => {
    const { harness, closed } = idleHarness();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const create = harness.compute.create;
    harness.compute.create = (id, document) => late.then(() => create(id, document));
    const creating = Promise.withResolvers<unknown>();
    const failing = runContractTest(
      async ({ compute }) => {
        creating.resolve(compute.create('late', {} as never));
        await never;
      },
      harness,
      20,
    );
    await assert.rejects(failing, { message: 'Nothing came within 0.02 s, in a call of the test' });
    assert.deepEqual(closed, []);
    resolve();
    await new Promise(setImmediate);
    assert.deepEqual(closed, ['system late']);
  });
});
