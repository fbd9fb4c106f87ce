import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import type { ComputeProcess } from '../compute-process.ts';
import type { ComputeSystem } from '../compute-service.ts';
import type { ContractTest, TestHarness } from './contract-test.ts';
import { assertFails, exitOf } from './expectations.ts';
import type { ContractPrograms } from './harness.ts';

const mebibyte = 1024 * 1024;

function programs(harness: TestHarness): ContractPrograms {
  assert.ok(harness.programs, 'the harness names no programs');
  return harness.programs;
}

async function running(harness: TestHarness, name: string): Promise<ComputeSystem> {
  const system = await harness.compute.create(harness.id(name), harness.document());
  await system.start();
  return system;
}

function streamsOf({ stdin, stdout, stderr }: ComputeProcess) {
  assert.ok(stdin && stdout && stderr);
  return { stdin, stdout, stderr };
}

export const processes: Record<string, ContractTest> = {
  async 'a MiB goes each way, and the end of the input ends no output'(harness) {
    await using system = await running(harness, 'streams');
    await using process = await system.createProcess(programs(harness).copy);
    assert.equal(process.systemId, system.id);
    const { stdin, stdout, stderr } = streamsOf(process);
    const bytes = Buffer.alloc(mebibyte, 'héllo');
    stdin.end(bytes);
    const [back, said] = await harness.awaited(
      'the end of the output',
      Promise.all([buffer(stdout), text(stderr)]),
    );
    assert.ok(back.equals(bytes), `${back.length} bytes came back`);
    assert.equal(said, `${bytes.length} bytes`);
    assert.deepEqual(await exitOf(harness, process), { exitCode: 0 });
  },

  async 'closing the standard input lets through what was written, and ends it'(harness) {
    await using system = await running(harness, 'close-stdin');
    await using process = await system.createProcess(programs(harness).copy);
    const { stdin, stdout } = streamsOf(process);
    stdin.write('last words');
    const back = harness.awaited('the end of the output', text(stdout));
    await process.closeStdin();
    assert.equal(await back, 'last words');
    assert.deepEqual(await exitOf(harness, process), { exitCode: 0 });
    await process.closeStdin();
  },

  async 'without being asked for there are no streams'(harness) {
    await using system = await running(harness, 'no-streams');
    await using process = await system.createProcess(programs(harness).exit(0));
    assert.deepEqual([process.stdin, process.stdout, process.stderr], [null, null, null]);
  },

  async 'all waiters hear of the exit code, early and late ones'(harness) {
    await using system = await running(harness, 'exit-code');
    for (const exitCode of [0, 7, 255]) {
      await using process = await system.createProcess(programs(harness).exit(exitCode));
      const exits = await Promise.all(Array.from({ length: 200 }, () => exitOf(harness, process)));
      for (const exit of [...exits, await exitOf(harness, process)]) assert.deepEqual(exit, { exitCode });
    }
  },

  async 'a waiter that gives up gets its reason, and no other is disturbed'(harness) {
    await using system = await running(harness, 'process-waiters');
    await using process = await system.createProcess(programs(harness).wait);
    const controller = new AbortController();
    const reason = new Error('enough');
    const impatient = process.wait(controller);
    const patient = exitOf(harness, process);
    controller.abort(reason);
    await assert.rejects(impatient, reason);
    await process.kill();
    assert.notEqual((await patient).exitCode, 0);
  },

  async 'a signal is delivered to a process that runs, and not to one that has ended'(harness) {
    await using system = await running(harness, 'signal');
    await using process = await system.createProcess(programs(harness).wait);
    assert.equal(await process.signal({ Signal: 15 }), true);
    assert.deepEqual(await exitOf(harness, process), { exitCode: 143 });
    assert.equal(await process.signal({ Signal: 15 }), false);
    await assertFails(process.signal({ Signal: 4711 }), 'E_INVALIDARG', '4711');
  },

  async 'a kill ends a process, and a second one is no error'(harness) {
    await using system = await running(harness, 'kill');
    await using process = await system.createProcess(programs(harness).wait);
    assert.equal(await process.kill(), true);
    assert.deepEqual(await exitOf(harness, process), { exitCode: 137 });
    assert.equal(await process.kill(), true);
    assert.equal((await system.getProperties()).State, 'Running');
  },

  async 'a process is found by its id, and a second handle hears the same end'(harness) {
    await using system = await running(harness, 'open');
    await using process = await system.createProcess(programs(harness).copy);
    await using second = await system.openProcess(process.pid);
    assert.equal(second.pid, process.pid);
    assert.equal(second.stdin, null);
    await process.closeStdin();
    assert.deepEqual(await exitOf(harness, second), await exitOf(harness, process));
    await assertFails(system.openProcess(999_999), 'ERROR_NOT_FOUND', '999999');
  },

  async 'a process tells that it runs, and how it ended'(harness) {
    await using system = await running(harness, 'properties');
    await using process = await system.createProcess(programs(harness).wait);
    const { ProcessId, Exited } = await process.getProperties();
    assert.deepEqual({ ProcessId, Exited }, { ProcessId: process.pid, Exited: false });
    await process.resizeConsole({ width: 132, height: 50 });
    await process.kill();
    await exitOf(harness, process);
    const ended = await process.getProperties();
    assert.deepEqual([ended.Exited, ended.ExitCode], [true, 137]);
    await assertFails(
      process.modify({ Operation: 'Odd' as 'ConsoleSize' }),
      'HCS_E_INVALID_JSON',
      'Operation',
    );
  },

  async 'processes end with their system, and their waiters hear of it'(harness) {
    await using system = await running(harness, 'end');
    await using process = await system.createProcess(programs(harness).wait);
    const waiting = exitOf(harness, process);
    await system.terminate();
    assert.notEqual((await waiting).exitCode, 0);
    await assertFails(system.createProcess(programs(harness).wait), 'HCS_E_SYSTEM_ALREADY_STOPPED');
  },

  async 'a closed handle takes no calls, its waiters are told, and the process goes on'(harness) {
    await using system = await running(harness, 'closed');
    const process = await system.createProcess(programs(harness).wait);
    const waiting = Array.from({ length: 5 }, () => assertFails(process.wait(), 'ERROR_INVALID_HANDLE'));
    await Promise.all([process[Symbol.asyncDispose](), process[Symbol.asyncDispose]()]);
    await Promise.all(waiting);
    await assertFails(process.wait(), 'ERROR_INVALID_HANDLE');
    await assertFails(process.signal(), 'ERROR_INVALID_HANDLE');
    await assertFails(process.kill(), 'ERROR_INVALID_HANDLE');
    await assertFails(process.getProperties(), 'ERROR_INVALID_HANDLE');
    await using again = await system.openProcess(process.pid);
    await again.kill();
  },

  async 'a process document with a mistake is refused with the name of the field'(harness) {
    await using system = await running(harness, 'mistake');
    await assertFails(
      system.createProcess({ CommandLine: 7 as unknown as string }),
      'HCS_E_INVALID_JSON',
      'CommandLine',
    );
    await assertFails(
      system.createProcess({ Commandline: 'sh' } as object),
      'HCS_E_INVALID_JSON',
      'Commandline',
    );
  },
};
