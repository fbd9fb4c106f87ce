import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  vmcomputeApi as api,
  type ComputeCall,
  ComputeEventType,
  computecore,
  DllCallError,
  MissingProcedureError,
  OperationTimeoutError,
  type SystemHandle,
  streamFromHandle,
  vmcompute,
} from '@hcsshim/windows';
import type { Fault } from './memory-backend.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const ledger = ledgerOf('vmcompute.dll');
const document = JSON.stringify({ Owner: 'test' });

type Event = { type: number; data: string | null };

function to(action: string, options: Omit<ComputeCall, 'action'> = {}): ComputeCall {
  return { action, timeout: 20_000, ...options };
}

function withFault(fault: Fault): string {
  return JSON.stringify({ Fault: fault });
}

function create(id: string, configuration = document): Promise<SystemHandle> {
  return api.createSystem(id, configuration, to(`create compute system "${id}"`));
}

function start(system: SystemHandle, fault?: Fault): Promise<string | null> {
  return api.operateSystem(system, 'start', fault === undefined ? null : withFault(fault), to('start'));
}

function terminate(system: SystemHandle): Promise<string | null> {
  return api.operateSystem(system, 'terminate', null, to('terminate'));
}

async function stateOf(system: SystemHandle): Promise<string> {
  const properties = await api.systemProperties(system, null, to('ask'));
  return (JSON.parse(properties ?? '{}') as { State: string }).State;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error('It has not come in 5 s');
    await sleep(10);
  }
}

function calls(procedure: keyof typeof vmcompute.procedures): number {
  return ledger.StandInCountCalls({ procedure });
}

describe('the Host Compute Service by vmcompute.dll', { timeout: 110_000 }, () => {
  afterEach(() => assertNothingLeakedFrom(ledger));

  after(() => {
    const uncalled = Object.keys(vmcompute.procedures).filter(
      (procedure) => procedure.startsWith('Hcs') && ledger.StandInCountCalls({ procedure }) === 0,
    );
    assert.deepEqual(uncalled, [], 'procedures that no test has called');
  });

  test('a system lives: created, started, paused, saved, resumed, modified, shut down, with its events', async () => {
    await using system = await create('life');
    const events: Event[] = [];
    using _ = await api.watchSystem(system, (event) => events.push(event));
    assert.equal(await stateOf(system), 'Created');
    assert.equal(await start(system), null);
    await assert.rejects(start(system), { hresult: 0x80370105, procedure: 'HcsStartComputeSystem' });
    await api.operateSystem(system, 'pause', null, to('pause'));
    await api.operateSystem(system, 'save', '{"SaveType":"ToFile"}', to('save'));
    await api.operateSystem(system, 'resume', null, to('resume'));
    const properties = await api.systemProperties(system, '{"é":"😀\\ud800"}', to('ask'));
    assert.deepEqual(JSON.parse(properties ?? ''), {
      Id: 'life',
      SystemType: 'VirtualMachine',
      State: 'Running',
      Query: '{"é":"😀\\ud800"}',
    });
    assert.equal(await api.modifySystem(system, '{}', to('modify')), null);
    await api.operateSystem(system, 'shutdown', null, to('shut down'));
    await until(() => events.length > 0);
    const data = '{"Status":0,"ExitType":"GracefulExit"}';
    assert.deepEqual(events, [{ type: ComputeEventType.SystemExited, data }]);
    await assert.rejects(start(system), { hresult: 0x80370110 });
  });

  test('a system is opened, listed and terminated, and each handle hears of the end', async () => {
    await using first = await create('opened');
    await using second = await api.openSystem('opened', to('open'));
    const list = await api.enumerateSystems(null, to('list'));
    assert.deepEqual(JSON.parse(list ?? ''), [{ Id: 'opened', State: 'Created' }]);
    await assert.rejects(create('opened'), { hresult: 0x8037010f });
    await terminate(second);
    // Who begins to watch after the end hears of it too.
    const ends = await Promise.all(
      [first, second].map(async (system) => {
        const told = Promise.withResolvers<Event>();
        using _ = await api.watchSystem(system, told.resolve);
        return await told.promise;
      }),
    );
    const end = { type: ComputeEventType.SystemExited, data: '{"Status":0,"ExitType":"ForcedExit"}' };
    assert.deepEqual(ends, [end, end]);
    await assert.rejects(api.openSystem('opened', to('open')), { hresult: 0x8037010e });
    await assert.rejects(create('wrong', 'no JSON'), { hresult: 0x8037010d });
  });

  test('to crash a system is refused in words, as only computecore.dll can', async () => {
    await using system = await create('uncrashed');
    await assert.rejects(api.operateSystem(system, 'crash', null, to('crash')), (error) => {
      assert.ok(error instanceof MissingProcedureError);
      assert.equal(error.neededBuild, computecore.build);
      assert.match(error.message, /^Cannot call "HcsCrashComputeSystem" of "computecore.dll": /);
      return true;
    });
  });

  test('a call may end at once or be pending, whichever it is', async () => {
    await using system = await create('either', withFault('at once'));
    await start(system, 'at once');
    const pending = withFault('pending');
    assert.deepEqual(JSON.parse((await api.systemProperties(system, pending, to('ask'))) ?? ''), {
      Id: 'either',
      SystemType: 'VirtualMachine',
      State: 'Running',
      Query: pending,
    });
    assert.equal(await api.modifySystem(system, pending, to('modify')), null);
    await api.operateSystem(system, 'pause', pending, to('pause'));
    await api.operateSystem(system, 'resume', withFault('at once'), to('resume'));
    assert.equal(await stateOf(system), 'Running');
  });

  test('a call that is refused, and one whose completion tells of a failure, have code and document', async () => {
    const begun = calls('HcsCloseComputeSystem');
    await assert.rejects(create('refused', withFault('refused')), {
      procedure: 'HcsCreateComputeSystem',
      hresult: 0x80070005,
    });
    const failed = {
      hresult: 0x80004005,
      document: '{"ErrorMessage":"as asked for","ErrorEvents":[{"Message":"By a test."}]}',
    };
    await assert.rejects(create('failed', withFault('failed')), {
      procedure: 'SystemCreateCompleted',
      ...failed,
    });
    assert.equal(calls('HcsCloseComputeSystem'), begun + 1);
    await using system = await create('failing');
    await assert.rejects(start(system, 'failed'), { procedure: 'SystemStartCompleted', ...failed });
    await assert.rejects(api.modifySystem(system, withFault('failed'), to('modify')), {
      procedure: 'HcsModifyComputeSystem',
      ...failed,
    });
    await assert.rejects(create('unknown', withFault('unknown code')), { hresult: 0x8badf00d });
    await assert.rejects(create('no handle', withFault('no handle')), /success without a "computeSystem"/);
  });

  test('a result that is no JSON, with half a surrogate pair, comes as it is', async () => {
    await using system = await create('garbage');
    const garbage = '\ud800 no JSON \u{1f600} {"';
    assert.equal(await start(system, 'not json'), garbage);
    assert.equal(await api.systemProperties(system, withFault('not json'), to('ask')), garbage);
  });

  test('a creation that is given up leaves no system, whether its end comes late or never', async () => {
    const terminated = calls('HcsTerminateComputeSystem');
    for (const fault of ['late', 'never'] as const) {
      const creating = api.createSystem(
        'given up',
        withFault(fault),
        to('create "given up"', { timeout: 150 }),
      );
      await assert.rejects(creating, (error) => {
        assert.ok(error instanceof OperationTimeoutError);
        assert.match(error.message, /^Cannot create "given up": .* within 150 ms$/);
        return true;
      });
      await assert.rejects(api.openSystem('given up', to('open')), { hresult: 0x8037010e });
    }
    assert.equal(calls('HcsTerminateComputeSystem'), terminated + 2);
  });

  test('a late completion ends no later call, which waits for its turn', async () => {
    await using system = await create('late');
    await start(system);
    const pause = (fault: Fault | undefined, timeout: number) =>
      api.operateSystem(system, 'pause', fault ? withFault(fault) : null, to('pause', { timeout }));
    await assert.rejects(pause('late', 150), OperationTimeoutError);
    const before = calls('HcsPauseComputeSystem');
    await assert.rejects(pause(undefined, 100), {
      message: 'Cannot pause: an earlier call of the same kind has not ended within 100 ms',
    });
    assert.equal(calls('HcsPauseComputeSystem'), before, 'what was given up in the queue is not called');
    // The late end is not taken for the success of this one, which the service refuses.
    await assert.rejects(pause(undefined, 5000), { hresult: 0x80370105 });
    assert.equal(calls('HcsPauseComputeSystem'), before + 1);
    await api.operateSystem(system, 'resume', null, to('resume'));
  });

  test('an operation that never ends is given up by its signal, and other kinds go on', async () => {
    await using system = await create('aborted');
    const controller = new AbortController();
    const reason = new Error('enough');
    const { signal } = controller;
    const modifying = api.modifySystem(system, withFault('never'), to('modify', { signal }));
    await sleep(100);
    controller.abort(reason);
    await assert.rejects(modifying, (error) => error === reason);
    await assert.rejects(
      api.modifySystem(system, '{}', to('modify', { signal })),
      (error) => error === reason,
    );
    await start(system);
    assert.equal(await stateOf(system), 'Running');
  });

  test('completions that come too often, and notifications that nobody knows, do no harm', async () => {
    await using system = await create('odd');
    const events: Event[] = [];
    using _ = await api.watchSystem(system, (event) => events.push(event));
    await start(system, 'storm');
    for (let round = 0; round < 3; round++) {
      await api.operateSystem(system, 'pause', withFault('twice'), to('pause'));
      await sleep(100);
      await api.operateSystem(system, 'resume', withFault('storm'), to('resume'));
      await sleep(100);
    }
    await api.modifySystem(system, withFault('odd events'), to('modify'));
    await until(() => events.length >= 2);
    assert.deepEqual(events, [
      { type: ComputeEventType.Invalid, data: 'no JSON {' },
      { type: ComputeEventType.Invalid, data: null },
    ]);
  });

  test('who waits hears of an exit, of a service that has gone, and of a closed handle', async () => {
    const never = (system: SystemHandle) => api.modifySystem(system, withFault('never'), to('modify'));
    await using exiting = await create('exiting');
    const first = assert.rejects(never(exiting), { hresult: 0x80370106, procedure: 'SystemModifyCompleted' });
    await sleep(100);
    await terminate(exiting);
    await first;

    await using orphaned = await create('orphaned');
    const second = assert.rejects(never(orphaned), { hresult: 0x8037011e });
    await sleep(100);
    await api.systemProperties(orphaned, withFault('disconnect'), to('ask'));
    await second;
    await assert.rejects(never(orphaned), { hresult: 0x8037011e });

    const closing = await create('closing');
    const third = assert.rejects(never(closing), (error) => {
      assert.ok(error instanceof DllCallError);
      assert.equal(error.hresult, 0x80070006);
      assert.match(error.document ?? '', /the handle was closed/);
      return true;
    });
    await sleep(100);
    await closing.close();
    await third;
    await assert.rejects(never(closing), /Cannot use a handle "HCS_SYSTEM" that is closed/);
  });

  test('a shutdown that fails after it was asked for is told as an event', async () => {
    await using system = await create('stubborn');
    const events: Event[] = [];
    using _ = await api.watchSystem(system, (event) => events.push(event));
    await api.operateSystem(system, 'shutdown', withFault('fails later'), to('shut down'));
    const failed = () => events.find(({ type }) => type === ComputeEventType.SystemShutdownFailed);
    await until(() => failed() !== undefined);
    assert.match(failed()?.data ?? '', /"as asked for"/);
  });

  test('callbacks that are under way when their handle closes, and none after it', async () => {
    for (let round = 0; round < 20; round++) {
      const systems = await Promise.all(
        Array.from({ length: 5 }, (_, index) => create(`closing ${round} ${index}`)),
      );
      await Promise.all(
        systems.map(async (system, index) => {
          let told = 0;
          const watching = await api.watchSystem(system, () => told++);
          const starting = start(system, 'storm').catch((error: unknown) => error);
          const ending = index % 2 === 0 ? terminate(system).catch(() => {}) : undefined;
          await Promise.all([starting, ending, system.close()]);
          watching[Symbol.dispose]();
          const before = told;
          await sleep(20);
          assert.equal(told, before, 'nothing is told after the close');
        }),
      );
    }
  });

  test('a process lives: started, asked, modified, signalled, opened again, with its end', async () => {
    await using system = await create('processes');
    await start(system);
    const { process, information } = await api.createProcess(system, '{"CommandLine":"sh"}', to('run'));
    await using _ = process;
    assert.ok(information.processId > 1000);
    assert.deepEqual([information.stdInput, information.stdOutput, information.stdError], [null, null, null]);
    const events: Event[] = [];
    using _events = await api.watchProcess(process, (event) => events.push(event));
    assert.deepEqual(await api.processInformation(process, to('ask')), information);
    assert.match((await api.processProperties(process, to('ask'))) ?? '', /"Exited":false/);
    await api.modifyProcess(process, '{"Operation":"ConsoleSize"}', to('resize'));
    await api.signalProcess(process, '{"Signal":15}', to('signal'));
    await until(() => events.length > 0);
    assert.equal(events[0]?.type, ComputeEventType.ProcessExited);
    assert.match(events[0]?.data ?? '', /"ExitCode":143/);
    await assert.rejects(api.signalProcess(process, null, to('signal')), { hresult: 0x8037011f });

    const second = await api.createProcess(system, '{}', to('run'));
    await using again = await api.openProcess(system, second.information.processId, to('open'));
    await api.terminateProcess(again, to('kill'));
    await second.process.close();
    await assert.rejects(api.openProcess(system, 1, to('open')), { hresult: 0x80070490 });
    await terminate(system);
  });

  test("a process's standard streams are pipes, both ways, to the last byte", async () => {
    await using system = await create('streams');
    await start(system);
    const parameters = { CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true };
    const { process, information } = await api.createProcess(system, JSON.stringify(parameters), to('run'));
    await using _ = process;
    const exited = Promise.withResolvers<Event>();
    using _events = await api.watchProcess(process, exited.resolve);
    const { stdInput, stdOutput, stdError } = information;
    assert.ok(stdInput && stdOutput && stdError);
    const input = streamFromHandle(stdInput, { readable: false, writable: true });
    const output = streamFromHandle(stdOutput, { readable: true, writable: false });
    const errors = streamFromHandle(stdError, { readable: true, writable: false });
    const bytes = Buffer.alloc(2_000_000, 'héllo');
    input.end(bytes);
    const [back, said] = await Promise.all([buffer(output), text(errors)]);
    assert.ok(back.equals(bytes));
    assert.equal(said, '2000000 bytes');
    assert.match((await exited.promise).data ?? '', /"ExitCode":0/);
  });

  test('a process whose start is given up is killed, and leaves no handle', async () => {
    await using system = await create('unwanted');
    await start(system);
    const killed = calls('HcsTerminateProcess');
    const running = api.createProcess(system, withFault('late'), to('run', { timeout: 100 }));
    await assert.rejects(running, OperationTimeoutError);
    await until(() => calls('HcsTerminateProcess') === killed + 1);
  });

  test('200 processes are waited for at once, and 200 changes of one system come one after another', async () => {
    await using system = await create('many');
    await start(system);
    const processes = await Promise.all(
      Array.from({ length: 200 }, async () => (await api.createProcess(system, '{}', to('run'))).process),
    );
    const ends = processes.map(async (process) => {
      const exited = Promise.withResolvers<Event>();
      using _ = await api.watchProcess(process, exited.resolve);
      return await exited.promise;
    });
    const changes = Array.from({ length: 200 }, (_, index) =>
      api.modifySystem(system, index % 2 === 0 ? '{}' : withFault('pending'), to('modify')),
    );
    assert.equal((await Promise.all(changes)).length, 200);
    await terminate(system);
    for (const end of await Promise.all(ends)) assert.match(end.data ?? '', /"ExitCode":137/);
    await Promise.all(processes.map((process) => process.close()));
  });

  test('the service tells and takes settings, and long documents come through whole', async () => {
    assert.equal(await api.serviceProperties('{"é":1}', to('ask')), '["{\\"é\\":1}"]');
    assert.equal(await api.modifyService('{"set":1}', to('set')), '["{\\"set\\":1}"]');
    const long = JSON.stringify({ text: 'ü'.repeat(1_000_000) });
    assert.deepEqual(JSON.parse((await api.serviceProperties(long, to('ask'))) ?? ''), [long]);
  });

  test('a handle of another DLL is refused', async () => {
    const foreign = { kind: 'HCS_SYSTEM' } as unknown as SystemHandle;
    await assert.rejects(
      api.watchSystem(foreign, () => {}),
      TypeError,
    );
  });
});
