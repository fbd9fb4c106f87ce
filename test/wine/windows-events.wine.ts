import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ComputeSystem, type SystemEvent, stopComputeSystem } from '@hcsshim/hcs';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const compute = createWindowsComputeService();

function create(id: string, owner = 'test', onEvent?: (event: SystemEvent) => void): Promise<ComputeSystem> {
  const document = {
    Owner: owner,
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  };
  return compute.create(id, document, { onEvent });
}

/** Has the stand-in tell an event. */
function raise(system: ComputeSystem, code: number, Settings?: unknown): Promise<void> {
  return system.modify({ ResourcePath: `event: ${code}`, Settings });
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error('It has not come in 5 s');
    await sleep(10);
  }
}

describe('what else a compute system of Windows tells and does', { timeout: 110_000 }, () => {
  afterEach(assertNothingLeaked);

  test('events are told to every handle in their order, from its opening to its closing', async () => {
    const [first, second]: [SystemEvent[], SystemEvent[]] = [[], []];
    await using system = await create('events', 'test', (event) => first.push(event));
    await raise(system, 2, { SystemId: 'events' });
    const other = await compute.open('events', { onEvent: (event) => second.push(event) });
    await raise(system, 3, { CrashLog: 'oops' });
    for (const code of [4, 5, 6, 77]) await raise(system, code);
    await until(() => first.length === 6 && second.length === 5);
    await other[Symbol.asyncDispose]();
    await raise(system, 6);
    await until(() => first.length === 7);
    assert.deepEqual(first[0], { type: 'CrashInitiated', code: 2, data: { SystemId: 'events' } });
    assert.deepEqual(first[1], { type: 'CrashReport', code: 3, data: { CrashLog: 'oops' } });
    const types = (events: SystemEvent[]): string[] => events.map(({ type }) => type);
    assert.deepEqual(types(second), [
      'CrashReport',
      'RdpEnhancedModeStateChanged',
      'SiloJobCreated',
      'GuestConnectionClosed',
      'Unknown',
    ]);
    assert.deepEqual(types(first), ['CrashInitiated', ...types(second), 'GuestConnectionClosed']);
  });

  test('a thousand events are told, and none is kept', async () => {
    let told = 0;
    await using system = await create('storm', 'test', () => told++);
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 50 }, () => raise(system, 6)));
    await until(() => told === 1000);
  });

  test('a crash is told by an event, then by the end', async () => {
    const order: string[] = [];
    await using system = await create('crash', 'test', ({ type }) => order.push(type));
    await system.start();
    const waiting = system.wait().then(({ type }) => order.push(type));
    await system.crash({ Type: 'CrashGuest' });
    await waiting;
    assert.deepEqual(order, ['CrashInitiated', 'UnexpectedExit']);
  });

  test('a system is saved when it is paused, with options that are checked', async () => {
    await using system = await create('save');
    await system.start();
    const document = { SaveType: 'ToFile', SaveStateFilePath: 'C:\\state.vmrs' } as const;
    await assert.rejects(system.save(document), {
      code: 'HCS_E_INVALID_STATE',
      message: /^Cannot save compute system "save": /,
    });
    await system.pause();
    await system.save(document);
    await assert.rejects(system.save({ SaveType: 'Somehow' as 'ToFile' }), { code: 'HCS_E_INVALID_JSON' });
  });

  test('a call that takes too long says what else is pending on the system', async () => {
    await using system = await create('x');
    await using other = await create('y');
    await system.start();
    await system.pause();
    const controller = new AbortController();
    const stuck = [
      ...Array.from({ length: 9 }, () => system.modify({ ResourcePath: 'fault: never' }, controller)),
      other.modify({ ResourcePath: 'fault: never' }, controller),
    ].map((modifying) => modifying.catch(() => {}));
    process.env.HCSSHIM_TIMEOUT_SYSTEMSAVE = '1';
    try {
      await assert.rejects(system.save({ SaveStateFilePath: 'fault: never' }), (error: Error) => {
        assert.match(
          error.message,
          /^Cannot save compute system "x": no answer within 1 s; pending on it: modify compute system "x" \(for 1 s\), .*, and 2 more, HCS_E_OPERATION_TIMEOUT \(0x80370118\)$/,
        );
        assert.doesNotMatch(error.message, /"y"/);
        return true;
      });
    } finally {
      delete process.env.HCSSHIM_TIMEOUT_SYSTEMSAVE;
      controller.abort();
    }
    await Promise.all(stuck);
    await until(() => system.pendingOperations().length === 0);
  });

  test('a guest that does not shut down is terminated in time', async () => {
    await using system = await create('stubborn', 'stubborn');
    await system.start();
    const begun = performance.now();
    const { rung, exit } = await stopComputeSystem(system, { shutdownTimeout: 300 });
    assert.equal(rung, 'terminate');
    assert.equal(exit.type, 'ForcedExit');
    assert.ok(performance.now() - begun >= 299);
  });

  test('properties come in both schemas, and one of the wrong type is an error with its path', async () => {
    await using system = await create('properties');
    const old = await system.getPropertiesV1({
      PropertyTypes: ['Statistics', 'ProcessList', 'MappedVirtualDisk', 'GuestConnection'],
    });
    assert.equal(old.Statistics?.Uptime100ns, 17);
    assert.deepEqual(old.ProcessList, []);
    const { MappedVirtualDiskControllers, GuestConnectionInfo } = old;
    assert.equal(MappedVirtualDiskControllers?.['0']?.MappedVirtualDisks?.['0']?.HostPath, 'C:\\a.vhdx');
    assert.equal(GuestConnectionInfo?.ProtocolVersion, 4);
    const { Statistics } = await system.getProperties({ PropertyTypes: ['Statistics'] });
    assert.equal(Statistics?.Processor.TotalRuntime100ns, 5);
    await assert.rejects(system.getPropertiesV1({ PropertyTypes: ['Network' as 'Statistics'] }), {
      code: 'HCS_E_INVALID_JSON',
    });
    await using odd = await create('odd', 'odd properties');
    await assert.rejects(odd.getPropertiesV1({ PropertyTypes: ['Statistics'] }), {
      code: 'ERROR_INVALID_DATA',
      message: /^Cannot read properties of compute system "odd": "Statistics" in the answer of /,
    });
  });

  test('the service tells of its host and takes settings; other answers are errors', async () => {
    const { Properties } = await compute.getServiceProperties({
      PropertyTypes: ['Memory', 'CpuGroup'],
    });
    assert.deepEqual(Properties, [{ Asked: 'Memory' }, { Asked: 'CpuGroup' }]);
    await assert.rejects(compute.getServiceProperties({}), { code: 'ERROR_INVALID_DATA' });
    assert.deepEqual(await compute.modifyServiceSettings({ PropertyType: 'CpuGroup', Settings: {} }), {
      Changed: 'CpuGroup',
    });
    await assert.rejects(
      compute.modifyServiceSettings({ PropertyType: 'CpuGroup', Settings: { Fault: 'refused' } }),
      { code: 'E_ACCESSDENIED', message: /^Cannot modify settings of the Host Compute Service: / },
    );
    await assert.rejects(compute.modifyServiceSettings({ PropertyType: 'Odd' as 'CpuGroup' }), {
      code: 'HCS_E_INVALID_JSON',
    });
  });
});
