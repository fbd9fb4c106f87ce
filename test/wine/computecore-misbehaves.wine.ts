import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bind,
  type ComputeEvent,
  computecore,
  createComputeSystem,
  DllCallError,
  type Handle,
  OperationTimeoutError,
  routeCallback,
  runOperation,
  type SystemHandle,
  watchComputeSystem,
} from '@hcsshim/windows';
import type { Fault } from './memory-backend.ts';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const hcs = bind(computecore);

function withFault(fault?: Fault): string {
  return JSON.stringify(fault === undefined ? {} : { Fault: fault });
}

function start(
  system: SystemHandle,
  fault?: Fault,
  options: { timeout?: number; signal?: AbortSignal } = {},
): Promise<string | null> {
  return runOperation(
    'start compute system "x"',
    (operation) =>
      system.use((computeSystem) =>
        hcs.HcsStartComputeSystem({ computeSystem, operation, options: withFault(fault) }),
      ),
    options,
  );
}

describe('a computecore.dll that misbehaves', { timeout: 110_000 }, () => {
  afterEach(assertNothingLeaked);

  test('a call that is refused', async () => {
    await assert.rejects(createComputeSystem('x', withFault('refused')), (error) => {
      assert.ok(error instanceof DllCallError);
      assert.equal(error.procedure, 'HcsCreateComputeSystem');
      assert.equal(error.hresult, 0x80070005);
      return true;
    });
  });

  test('an operation that fails tells why, and its handle is closed', async () => {
    await assert.rejects(createComputeSystem('failed', withFault('failed')), {
      procedure: 'HcsGetOperationResult',
      hresult: 0x80004005,
      document: '{"ErrorMessage":"as asked for","ErrorEvents":[{"Message":"By a test."}]}',
    });
  });

  test('a code that nobody knows', async () => {
    await assert.rejects(createComputeSystem('unknown code', withFault('unknown code')), {
      hresult: 0x8badf00d,
      message:
        'Cannot complete "HcsGetOperationResult" of "computecore.dll": it failed with HRESULT 0x8BADF00D',
    });
  });

  test('success without a handle', async () => {
    await assert.rejects(
      createComputeSystem('no handle', withFault('no handle')),
      /Cannot use what "HcsCreateComputeSystem" of "computecore.dll" gave: it reported success without a "computeSystem"/,
    );
  });

  test('a result that is no JSON, with half a surrogate pair, comes as it is', async () => {
    await using system = await createComputeSystem('garbage', '{}');
    assert.equal(await start(system, 'not json'), '\ud800 no JSON \u{1f600} {"');
  });

  test('an operation that never ends is given up at its deadline', async () => {
    await using system = await createComputeSystem('never', '{}');
    const begun = performance.now();
    await assert.rejects(start(system, 'never', { timeout: 300 }), (error) => {
      assert.ok(error instanceof OperationTimeoutError);
      assert.equal(
        error.message,
        'Cannot start compute system "x": the Host Compute Service has not answered within 300 ms',
      );
      return true;
    });
    assert.ok(performance.now() - begun < 5000);
  });

  test('an operation that never ends is given up by its signal', async () => {
    await using system = await createComputeSystem('aborted', '{}');
    const controller = new AbortController();
    const reason = new Error('enough');
    const starting = start(system, 'never', { signal: controller.signal });
    await sleep(100);
    controller.abort(reason);
    await assert.rejects(starting, (error) => error === reason);
    await assert.rejects(
      start(system, undefined, { signal: controller.signal }),
      (error) => error === reason,
    );
  });

  test('an operation that calls back twice, or fifty times, ends once', async () => {
    for (const fault of ['twice', 'storm'] as const) {
      await using system = await createComputeSystem(`many ${fault}`, '{}');
      assert.equal(await start(system, fault), null);
    }
    // The late ones meet no route and no operation.
    await sleep(200);
  });

  test('events of an unknown type, or without a structure, do no harm', async () => {
    await using system = await createComputeSystem('odd', '{}');
    const events: ComputeEvent[] = [];
    using _ = await watchComputeSystem(system, (event) => events.push(event));
    await start(system, 'odd events');
    for (let tries = 0; events.length < 2 && tries < 200; tries++) await sleep(10);
    assert.deepEqual(events, [
      { type: 0x7abcdef0, data: 'no JSON {', operation: null },
      { type: 0, data: null, operation: null },
    ]);
  });

  test('a second callback on a handle is refused, and leaves no route', async () => {
    await using system = await createComputeSystem('second', '{}');
    using _ = await watchComputeSystem(system, () => {});
    await assert.rejects(
      watchComputeSystem(system, () => {}),
      { hresult: 0x80370119 },
    );
  });

  test('callbacks that are under way when their route or their handle closes', async () => {
    for (let round = 0; round < 20; round++) {
      const systems = await Promise.all(
        Array.from({ length: 5 }, (_, index) => createComputeSystem(`closing ${round} ${index}`, '{}')),
      );
      await Promise.all(
        systems.map(async (system, index) => {
          let told = 0;
          const route = await watchComputeSystem(system, () => told++);
          const ending = runOperation('end', (operation) =>
            system.use((computeSystem) => hcs.HcsTerminateComputeSystem({ computeSystem, operation })),
          );
          if (index % 2 === 0) route[Symbol.dispose]();
          await Promise.all([ending, system.close()]);
          route[Symbol.dispose]();
          const before = told;
          await sleep(20);
          assert.equal(told, before, 'nothing is told after the route was disposed of');
        }),
      );
    }
  });

  test('a close waits for the calls that use the handle', async () => {
    const system = await createComputeSystem('busy', '{}');
    const waiting = system.use((computeSystem) =>
      hcs.HcsWaitForComputeSystemExit({ computeSystem, timeoutMs: 300 }),
    );
    const closing = system.close();
    assert.equal(system.state, 'closing');
    await assert.rejects(waiting, { hresult: 0x80370118 });
    await closing;
    assert.equal(system.state, 'closed');
  });

  test('200 operations at once, and the wait for them blocks no thread', async () => {
    await using system = await createComputeSystem('parallel', '{}');
    const pending = Array.from({ length: 200 }, () =>
      start(system, 'never', { timeout: 3000 }).catch(String),
    );
    const ended = await Promise.all(
      Array.from({ length: 200 }, () =>
        runOperation('modify', (operation) =>
          system.use((computeSystem) =>
            hcs.HcsModifyComputeSystem({ computeSystem, operation, configuration: '{}' }),
          ),
        ),
      ),
    );
    assert.equal(ended.length, 200);
    for (const end of await Promise.all(pending))
      assert.match(String(end), /has not answered|HRESULT 0x80370105/);
  });

  test('an exception in a handler is an uncaught exception, not a crash', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', resolve);
    const thrown = new Error('from the handler');
    using route = routeCallback('HCS_OPERATION_COMPLETION', () => {
      throw thrown;
    });
    const operation = hcs.HcsCreateOperation(route);
    await hcs.HcsEnumerateComputeSystems({ operation });
    assert.equal(await promise, thrown);
    for (const listener of listeners) process.on('uncaughtException', listener);
    await hcs.HcsCloseOperation({ operation: operation as Handle<'HCS_OPERATION'> });
  });

  test('a process that exits while callbacks are under way ends with its own exit code', async () => {
    const program = join(import.meta.dirname, 'exit-under-callbacks.fixture.ts');
    for (const how of ['exit', 'loop ends']) {
      const child = spawn(process.execPath, [...process.execArgv, program, how], { stdio: 'inherit' });
      const [exitCode] = await once(child, 'close');
      assert.equal(exitCode, 42, how);
    }
  });
});
