import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ComputeProcess, type ComputeSystem, isHcsError } from '@hcsshim/hcs';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { assertNothingLeaked, ledger } from './stand-in-ledger.ts';

const compute = createWindowsComputeService();
const allStreams = { CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true };

async function running(id: string, owner = 'test'): Promise<ComputeSystem> {
  const system = await compute.create(id, {
    Owner: owner,
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  });
  await system.start();
  return system;
}

function start(system: ComputeSystem, program: string): Promise<ComputeProcess> {
  return system.createProcess({ CommandLine: program });
}

function calls(procedure: string): number {
  return ledger.StandInCountCalls({ procedure });
}

describe('processes of the compute service of Windows', { timeout: 110_000 }, () => {
  afterEach(assertNothingLeaked);

  test('a kill does not wait for a signal that never completes', async () => {
    await using system = await running('deaf');
    await using process = await start(system, 'deaf');
    const controller = new AbortController();
    const reason = new Error('enough');
    const signalling = process.signal({ Signal: 15 }, controller);
    await sleep(50);
    assert.deepEqual(
      system.pendingOperations().map((text) => text.replace(/process \d+/, 'process N')),
      ['signal process N of compute system "deaf" (for 0 s)'],
    );
    assert.equal(await process.kill(), true);
    assert.deepEqual(await process.wait(), { exitCode: 137 });
    controller.abort(reason);
    await assert.rejects(signalling, (error) => error === reason);
  });

  test('a second kill makes no call, and the handles of the first are closed', async () => {
    await using system = await running('twice');
    await using process = await start(system, 'wait');
    const [opened, closed] = [calls('HcsOpenComputeSystem'), calls('HcsCloseComputeSystem')];
    await process.kill();
    assert.deepEqual(
      [calls('HcsOpenComputeSystem'), calls('HcsCloseComputeSystem')],
      [opened + 1, closed + 1],
    );
    assert.equal(await process.kill(), true);
    assert.equal(calls('HcsOpenComputeSystem'), opened + 1);
  });

  test('a kill that cannot open the system a second time ends the system', async () => {
    await using system = await running('sealed', 'sealed');
    await using process = await start(system, 'wait');
    assert.equal(await process.kill(), true);
    assert.equal((await system.wait()).type, 'ForcedExit');
    assert.deepEqual(await process.wait(), { exitCode: 137 });
  });

  test('a kill that is denied counts as delivered', async () => {
    await using system = await running('refuse');
    await using process = await start(system, 'refuse');
    const terminated = calls('HcsTerminateProcess');
    assert.equal(await process.kill(), true);
    assert.equal(await process.kill(), true);
    assert.equal(calls('HcsTerminateProcess'), terminated + 1);
  });

  test('a signal that finds no process releases the waiters after a second', async () => {
    await using system = await running('vanish');
    await using process = await start(system, 'vanish');
    const waiting = Array.from({ length: 200 }, () => process.wait());
    assert.equal(await process.signal({ Signal: 15 }), false);
    for (const { exitCode, reason } of await Promise.all(waiting)) {
      assert.equal(exitCode, -1);
      assert.match(reason ?? '', /^a signal found it gone/);
    }
  });

  test('a system that ends releases the waiters of processes that nobody tells of', async () => {
    await using system = await running('silent');
    await using process = await start(system, 'vanish');
    await system.terminate();
    assert.deepEqual(await process.wait(), {
      exitCode: -1,
      reason: 'its compute system has ended: it was terminated',
    });
  });

  test('an exit without a document is asked for, and one whose wait has failed is unknown', async () => {
    await using system = await running('odd-exits');
    await using mumbling = await start(system, 'mumble');
    await mumbling.signal({ Signal: 2 });
    assert.deepEqual(await mumbling.wait(), { exitCode: 130 });
    await using lost = await start(system, 'lose');
    await lost.signal({ Signal: 'CtrlC' });
    assert.deepEqual(await lost.wait(), {
      exitCode: -1,
      reason: 'the wait for its end failed with HCS_E_CONNECTION_TIMEOUT (0x80370109)',
    });
  });

  test('a console event gives the exit code of Windows, all 32 bits of it', async () => {
    await using system = await running('ctrl-c');
    await using process = await start(system, 'wait');
    await process.signal({ Signal: 'CtrlC' });
    assert.deepEqual(await process.wait(), { exitCode: 0xc000013a });
  });

  test('the size of a console arrives as it was given', async () => {
    await using system = await running('console');
    await using process = await start(system, 'wait');
    await process.resizeConsole({ width: 132, height: 50 });
    const { ConsoleSize } = (await process.getProperties()) as { ConsoleSize?: unknown };
    assert.deepEqual(ConsoleSize, { Height: 50, Width: 132 });
    await assert.rejects(process.resizeConsole({ width: 70_000, height: 50 }), {
      code: 'HCS_E_INVALID_JSON',
      message: /^Cannot resize the console of process \d+ of compute system "console": .*ConsoleSize\.Width/,
    });
  });

  test('a start that is given up ends the process', async () => {
    await using system = await running('given-up');
    const [terminated, closed] = [calls('HcsTerminateProcess'), calls('HcsCloseProcess')];
    const reason = new Error('enough');
    const controller = new AbortController();
    const starting = system.createProcess({ CommandLine: 'fault: never' }, controller);
    await sleep(50);
    controller.abort(reason);
    await assert.rejects(starting, (error) => error === reason);
    assert.deepEqual([calls('HcsTerminateProcess'), calls('HcsCloseProcess')], [terminated + 1, closed + 1]);
    assert.deepEqual((await system.getPropertiesV1({ PropertyTypes: ['ProcessList'] })).Id, 'given-up');
  });

  test('a refused start, a failed one, and one without a handle are errors that leave nothing', async () => {
    await using system = await running('failing');
    for (const [fault, code] of [
      ['refused', 'E_ACCESSDENIED'],
      ['failed', 'E_FAIL'],
      ['no handle', 'E_UNEXPECTED'],
    ] as const)
      await assert.rejects(start(system, `fault: ${fault}`), { code }, fault);
  });

  test('an opened process has streams of its own when it is asked for them', async () => {
    await using system = await running('stdio');
    await using process = await system.createProcess({ CommandLine: 'cat', ...allStreams });
    await using second = await system.openProcess(process.pid, { stdio: true });
    const said = [process.stdout, second.stdout].map((stream) => {
      assert.ok(stream);
      return text(stream);
    });
    second.stdin?.end('from the second');
    assert.deepEqual(await Promise.all(said), ['from the second', 'from the second']);
    assert.deepEqual(await process.wait(), { exitCode: 0 });
  });

  test('output that is written before the end is read after it', async () => {
    await using system = await running('late-reader');
    await using process = await system.createProcess({ CommandLine: 'cat', ...allStreams });
    const { stdin, stdout } = process;
    assert.ok(stdin && stdout);
    const bytes = Buffer.alloc(30_000, 'x');
    stdin.end(bytes);
    await process.wait();
    await sleep(50);
    assert.equal((await buffer(stdout)).length, bytes.length);
  });

  test('input for a process that has ended is an error of its stream, and of nothing else', async () => {
    await using system = await running('broken-pipe');
    await using process = await system.createProcess({ CommandLine: 'wait', ...allStreams });
    const { stdin } = process;
    assert.ok(stdin);
    const closed = Promise.withResolvers<void>();
    const failures: NodeJS.ErrnoException[] = [];
    stdin.on('error', (error) => failures.push(error)).once('close', closed.resolve);
    await process.kill();
    await process.wait();
    const writing = setInterval(() => stdin.writable && stdin.write('more'), 5);
    await closed.promise;
    clearInterval(writing);
    assert.deepEqual(
      failures.map(({ code }) => code),
      ['EPIPE'],
    );
    await process.closeStdin();
  });

  test('processes that exit while their handles close, and handles that close under waiters', async () => {
    await using system = await running('racing');
    const live = async (index: number): Promise<void> => {
      const process = await start(system, index % 2 === 0 ? 'exit 3' : 'wait');
      const waiting = process.wait().catch((error: unknown) => {
        assert.ok(isHcsError(error) && error.code === 'ERROR_INVALID_HANDLE', String(error));
        return { exitCode: 3 };
      });
      const killing = process.kill().catch((error: unknown) => assert.ok(isHcsError(error), String(error)));
      await Promise.all([killing, process[Symbol.asyncDispose]()]);
      assert.ok([3, 137].includes((await waiting).exitCode));
    };
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 10 }, (_, index) => live(index)));
  });

  test('who waits for a process hears that the service has gone', async () => {
    await using system = await running('disconnect');
    await using process = await start(system, 'wait');
    const gone = { code: 'HCS_E_SERVICE_DISCONNECT', message: /^Cannot wait for process \d+ of / };
    const told = assert.rejects(process.wait(), gone);
    await system.modify({ ResourcePath: 'fault: disconnect' });
    await told;
    await assert.rejects(process.wait(), gone);
  });

  test('many processes leave no handle, stream or callback', async () => {
    await using system = await running('many');
    const live = async (): Promise<void> => {
      await using process = await system.createProcess({ CommandLine: 'cat', ...allStreams });
      const { stdin, stdout } = process;
      assert.ok(stdin && stdout);
      stdin.end('hello');
      assert.equal(await text(stdout), 'hello');
      assert.deepEqual(await process.wait(), { exitCode: 0 });
    };
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 8 }, live));
  });
});
