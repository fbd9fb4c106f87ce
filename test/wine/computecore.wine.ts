import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bind,
  type ComputeEvent,
  ComputeEventType,
  computecore,
  createComputeSystem,
  createProcess,
  type Handle,
  openComputeSystem,
  openProcess,
  routeCallback,
  runOperation,
  runProcessOperation,
  type SystemHandle,
  streamFromHandle,
  watchComputeSystem,
  watchProcess,
} from '@hcsshim/windows';
import { assertNothingLeaked, ledger } from './stand-in-ledger.ts';

const hcs = bind(computecore);
const document = JSON.stringify({ Owner: 'test' });
const operationType = { none: -1, create: 1, start: 2 };

type Options = { operation: Handle<'HCS_OPERATION'>; options?: string | null };

/** Runs a call that takes a system and options. */
function onSystem(
  system: SystemHandle,
  name: string,
  call: (inputs: Options & { computeSystem: Handle<'HCS_SYSTEM'> }) => Promise<unknown>,
): Promise<string | null> {
  return runOperation(name, (operation) => system.use((computeSystem) => call({ computeSystem, operation })));
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error('It has not come in 5 s');
    await sleep(10);
  }
}

describe('computecore.dll, the stand-in', () => {
  after(async () => {
    await assertNothingLeaked();
    const uncalled = Object.keys(computecore.procedures).filter(
      (procedure) => ledger.StandInCountCalls({ procedure }) === 0,
    );
    assert.deepEqual(uncalled, [], 'procedures that no test has called');
  });

  test('a system lives: created, started, paused, saved, resumed, shut down, with its events', async () => {
    await using system = await createComputeSystem('life', document);
    const events: ComputeEvent[] = [];
    using _ = await watchComputeSystem(system, (event) => events.push(event));
    await onSystem(system, 'start', hcs.HcsStartComputeSystem);
    await assert.rejects(onSystem(system, 'start', hcs.HcsStartComputeSystem), { hresult: 0x80370105 });
    await onSystem(system, 'pause', hcs.HcsPauseComputeSystem);
    await onSystem(system, 'save', hcs.HcsSaveComputeSystem);
    await onSystem(system, 'resume', hcs.HcsResumeComputeSystem);
    const properties = await runOperation('ask', (operation) =>
      system.use((computeSystem) =>
        hcs.HcsGetComputeSystemProperties({ computeSystem, operation, propertyQuery: '{"é":"😀\\ud800"}' }),
      ),
    );
    assert.deepEqual(JSON.parse(properties ?? ''), {
      Id: 'life',
      SystemType: 'VirtualMachine',
      State: 'Running',
      Query: '{"é":"😀\\ud800"}',
    });
    assert.equal(
      await runOperation('modify', (operation) =>
        system.use((computeSystem) =>
          hcs.HcsModifyComputeSystem({ computeSystem, operation, configuration: '{}' }),
        ),
      ),
      null,
    );
    const exit = system.use((computeSystem) =>
      hcs.HcsWaitForComputeSystemExit({ computeSystem, timeoutMs: 10_000 }),
    );
    await onSystem(system, 'shut down', hcs.HcsShutDownComputeSystem);
    const data = '{"Status":0,"ExitType":"GracefulExit"}';
    assert.equal((await exit).result, data);
    await until(() => events.length > 0);
    assert.deepEqual(events, [{ type: ComputeEventType.SystemExited, data, operation: null }]);
    await assert.rejects(onSystem(system, 'start', hcs.HcsStartComputeSystem), { hresult: 0x80370110 });
  });

  test('a system is opened, listed, terminated and crashed', async () => {
    await using first = await createComputeSystem('opened', document);
    await using second = await openComputeSystem('opened');
    const list = await runOperation('list', (operation) =>
      hcs.HcsEnumerateComputeSystems({ query: '{}', operation }),
    );
    assert.deepEqual(JSON.parse(list ?? ''), [{ Id: 'opened', State: 'Created' }]);
    await assert.rejects(createComputeSystem('opened', document), { hresult: 0x8037010f });
    await onSystem(second, 'terminate', hcs.HcsTerminateComputeSystem);
    assert.equal(first.state, 'open');
    await assert.rejects(openComputeSystem('opened'), { hresult: 0x8037010e });
    await using third = await createComputeSystem('opened', document);
    await onSystem(third, 'crash', hcs.HcsCrashComputeSystem);
    await assert.rejects(createComputeSystem('wrong', 'no JSON'), { hresult: 0x8037010d });
  });

  test('systems have namespaces', async () => {
    const idNamespace = 'ns';
    const created = await (async () => {
      let system: Handle<'HCS_SYSTEM'> | undefined;
      await runOperation('create', async (operation) => {
        const given = await hcs.HcsCreateComputeSystemInNamespace({
          idNamespace,
          id: 'spaced',
          configuration: document,
          operation,
          options: null,
        });
        system = given.computeSystem;
      });
      return system as unknown as Handle<'HCS_SYSTEM'>;
    })();
    const { computeSystem } = await hcs.HcsOpenComputeSystemInNamespace({
      idNamespace,
      id: 'spaced',
      requestedAccess: 0x10000000,
    });
    const list = await runOperation('list', (operation) =>
      hcs.HcsEnumerateComputeSystemsInNamespace({ idNamespace, operation }),
    );
    assert.match(list ?? '', /"spaced"/);
    await hcs.HcsCloseComputeSystem({ computeSystem });
    await hcs.HcsCloseComputeSystem({ computeSystem: created });
  });

  test('a process lives: started, asked, modified, signalled, with its events', async () => {
    await using system = await createComputeSystem('processes', document);
    await onSystem(system, 'start', hcs.HcsStartComputeSystem);
    const { process, information } = await createProcess(system, '{"CommandLine":"sh"}');
    await using _ = process;
    assert.ok(information.processId > 1000);
    assert.deepEqual([information.stdInput, information.stdOutput, information.stdError], [null, null, null]);
    const events: ComputeEvent[] = [];
    using _events = await watchProcess(process, (event) => events.push(event));
    const asked = await runProcessOperation('ask', (operation) =>
      process.use((handle) => hcs.HcsGetProcessInfo({ process: handle, operation })),
    );
    assert.equal(asked.processId, information.processId);
    assert.match(
      (await runOperation('ask', (operation) =>
        process.use((handle) => hcs.HcsGetProcessProperties({ process: handle, operation })),
      )) ?? '',
      /"Exited":false/,
    );
    await runOperation('resize', (operation) =>
      process.use((handle) => hcs.HcsModifyProcess({ process: handle, operation, settings: '{}' })),
    );
    const exit = process.use((handle) => hcs.HcsWaitForProcessExit({ process: handle, timeoutMs: 10_000 }));
    await runOperation('signal', (operation) =>
      process.use((handle) => hcs.HcsSignalProcess({ process: handle, operation, options: '{"Signal":15}' })),
    );
    assert.match((await exit).result ?? '', /"ExitCode":143/);
    await until(() => events.length > 0);
    assert.equal(events[0]?.type, ComputeEventType.ProcessExited);

    const second = await createProcess(system, '{}');
    await using again = await openProcess(system, second.information.processId);
    await runOperation('terminate', (operation) =>
      again.use((handle) => hcs.HcsTerminateProcess({ process: handle, operation })),
    );
    await second.process.close();
    await onSystem(system, 'terminate', hcs.HcsTerminateComputeSystem);
  });

  test("a process's standard streams are pipes, both ways, to the last byte", async () => {
    await using system = await createComputeSystem('streams', document);
    await onSystem(system, 'start', hcs.HcsStartComputeSystem);
    const parameters = { CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true };
    const { process, information } = await createProcess(system, JSON.stringify(parameters));
    await using _ = process;
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
    const exit = await process.use((handle) =>
      hcs.HcsWaitForProcessExit({ process: handle, timeoutMs: 5000 }),
    );
    assert.match(exit.result ?? '', /"ExitCode":0/);
  });

  test('an operation tells of itself before, during and after', async () => {
    const { promise, resolve } = Promise.withResolvers<Handle<'HCS_OPERATION'>>();
    using route = routeCallback('HCS_OPERATION_COMPLETION', resolve);
    const operation = hcs.HcsCreateOperation({ context: 5n });
    assert.equal(hcs.HcsGetOperationType({ operation }), operationType.none);
    assert.equal(hcs.HcsGetOperationContext({ operation }), 5n);
    hcs.HcsSetOperationContext({ operation, context: 6n });
    assert.equal(hcs.HcsGetOperationContext({ operation }), 6n);
    assert.equal(hcs.HcsGetComputeSystemFromOperation({ operation }), null);
    assert.equal(hcs.HcsGetProcessFromOperation({ operation }), null);
    assert.throws(() => hcs.HcsGetOperationResult({ operation }), { hresult: 0x80370115 });
    await assert.rejects(hcs.HcsCancelOperation({ operation }), { hresult: 0x80370115 });
    await hcs.HcsAddResourceToOperation({
      operation,
      type: 1,
      uri: 'hcs://file',
      handle: 8n as Handle<'HANDLE'>,
    });
    hcs.HcsSetOperationCallback({ operation, ...route });
    const { computeSystem } = await hcs.HcsCreateComputeSystem({
      id: 'told',
      configuration: document,
      operation,
      securityDescriptor: null,
    });
    assert.equal(await promise, operation);
    assert.equal(hcs.HcsGetOperationType({ operation }), operationType.create);
    assert.equal(hcs.HcsGetOperationId({ operation }), operation as bigint);
    assert.equal(hcs.HcsGetComputeSystemFromOperation({ operation }), computeSystem);
    assert.equal((await hcs.HcsGetOperationProperties({ operation })).resultDocument, '{}');
    assert.equal(hcs.HcsGetOperationResult({ operation }).resultDocument, null);
    await assert.rejects(hcs.HcsStartComputeSystem({ computeSystem, operation }), { hresult: 0x80370116 });
    await hcs.HcsCloseOperation({ operation });
    assert.throws(() => hcs.HcsGetOperationResult({ operation }), { hresult: 0x80070006 });
    await hcs.HcsCloseComputeSystem({ computeSystem });
  });

  test('a wait that blocks its thread leaves the event loop free', async () => {
    await using system = await createComputeSystem('waited', document);
    const operation = hcs.HcsCreateOperationWithNotifications({ eventTypes: 0 });
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 20);
    const waiting = hcs.HcsWaitForOperationResult({ operation, timeoutMs: 300 });
    await assert.rejects(waiting, { hresult: 0x80370115 });
    await system.use((computeSystem) => hcs.HcsStartComputeSystem({ computeSystem, operation }));
    assert.equal((await hcs.HcsWaitForOperationResult({ operation, timeoutMs: 5000 })).resultDocument, null);
    const exit = system.use((computeSystem) =>
      hcs.HcsWaitForComputeSystemExit({ computeSystem, timeoutMs: 400 }),
    );
    await assert.rejects(exit, { hresult: 0x80370118 });
    clearInterval(ticking);
    assert.ok(ticks >= 10, `the loop turned ${ticks} times`);
    await hcs.HcsCloseOperation({ operation });

    const starting = hcs.HcsCreateOperation({});
    const { process } = await system.use((computeSystem) =>
      hcs.HcsCreateProcess({
        computeSystem,
        processParameters: '{}',
        operation: starting,
        securityDescriptor: null,
      }),
    );
    const started = await hcs.HcsWaitForOperationResultAndProcessInfo({
      operation: starting,
      timeoutMs: 5000,
    });
    assert.ok(started.processInformation.processId > 0);
    assert.equal(hcs.HcsGetProcessFromOperation({ operation: starting }), process);
    await hcs.HcsCloseOperation({ operation: starting });
    await hcs.HcsCloseProcess({ process });
  });

  test('a system moves to another host', async () => {
    await using system = await createComputeSystem('moved', document);
    await onSystem(system, 'prepare', hcs.HcsInitializeLiveMigrationOnSource);
    await onSystem(system, 'begin', hcs.HcsStartLiveMigrationOnSource);
    await onSystem(system, 'transfer', hcs.HcsStartLiveMigrationTransfer);
    await onSystem(system, 'end', hcs.HcsFinalizeLiveMigration);
    await onSystem(system, 'cancel', hcs.HcsCancelLiveMigration);
  });

  test('the service and the files of VMs', async () => {
    const path = 'C:\\Männer\\vm.vmgs';
    assert.equal((await hcs.HcsGetServiceProperties({ propertyQuery: '{}' })).result, '["{}"]');
    assert.equal((await hcs.HcsGetServiceProperties({})).result, '[null]');
    assert.equal((await hcs.HcsModifyServiceSettings({ settings: '{}' })).result, '["{}"]');
    const compatibility = await hcs.HcsGetProcessorCompatibilityFromSavedState({ runtimeFileName: path });
    assert.deepEqual(JSON.parse(compatibility.processorFeatures ?? ''), [path]);
    await hcs.HcsSubmitWerReport({ settings: '{}' });
    await hcs.HcsCreateEmptyGuestStateFile({ guestStateFilePath: path });
    await hcs.HcsCreateEmptyRuntimeStateFile({ runtimeStateFilePath: path });
    await hcs.HcsGrantVmAccess({ vmId: 'id', filePath: path });
    await hcs.HcsRevokeVmAccess({ vmId: 'id', filePath: path });
    await hcs.HcsGrantVmGroupAccess({ filePath: path });
    await hcs.HcsRevokeVmGroupAccess({ filePath: path });
  });

  test('long documents come through whole', async () => {
    const long = JSON.stringify({ text: 'ü'.repeat(1_000_000) });
    const { result } = await hcs.HcsGetServiceProperties({ propertyQuery: long });
    assert.deepEqual(JSON.parse(result ?? ''), [long]);
  });
});
