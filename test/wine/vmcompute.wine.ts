import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  vmcomputeApi as api,
  bind,
  type ComputeCall,
  ComputeEventType,
  computecore,
  DllCallError,
  MissingProcedureError,
  OperationTimeoutError,
  type SystemHandle,
  setPointer,
  streamFromHandle,
  vmcompute,
  wideString,
} from '@hcsshim/windows';
import type { Fault } from './memory-backend.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const dll = bind(vmcompute);
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
      (procedure) => ledger.StandInCountCalls({ procedure }) === 0,
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
    await assert.rejects(start(system, 'unknown code'), { hresult: 0x8badf00d });
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
    await start(orphaned, 'disconnect');
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
    await until(() => events.length > 0);
    assert.equal(events[0]?.type, ComputeEventType.SystemShutdownFailed);
    assert.match(events[0]?.data ?? '', /"as asked for"/);
    await assert.rejects(api.operateSystem(system, 'shutdown', withFault('failed'), to('shut down')), {
      hresult: 0x80004005,
    });
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

interface HnsAnswer<T> {
  Success: boolean;
  Error?: string;
  ErrorCode?: number;
  Output: T;
}

async function hns<T>(method: string, path: string, request?: object): Promise<HnsAnswer<T>> {
  const object = request === undefined ? '' : JSON.stringify(request);
  const { response } = await dll.HNSCall({ method, path, object });
  return JSON.parse(response ?? '') as HnsAnswer<T>;
}

describe('the first network service by vmcompute.dll', () => {
  after(() => assertNothingLeakedFrom(ledger));

  test('networks and endpoints are created, listed, read, attached and deleted', async () => {
    const network = await hns<{ ID: string }>('POST', '/networks/', {
      Name: 'nat',
      Type: 'NAT',
      Subnets: [{ AddressPrefix: '172.20.0.0/16', GatewayAddress: '172.20.0.1' }],
    });
    assert.equal(network.Success, true);
    const { ID } = network.Output;
    assert.deepEqual((await hns<object[]>('GET', '/networks/')).Output, [network.Output]);
    assert.deepEqual((await hns('GET', `/networks/${ID.toLowerCase()}`)).Output, network.Output);
    const endpoint = await hns<Record<string, unknown>>('POST', '/endpoints/', {
      Name: 'eth0',
      VirtualNetwork: ID,
    });
    const { ID: endpointId, IPAddress, VirtualNetworkName, State } = endpoint.Output;
    assert.deepEqual([IPAddress, VirtualNetworkName, State], ['172.20.0.2', 'nat', 1]);
    const path = `/endpoints/${endpointId}`;
    assert.deepEqual(await hns('POST', `${path}/attach`, { ContainerId: 'c', SystemType: 'Container' }), {
      Success: true,
    });
    const { Output } = await hns<{ SharedContainers: string[]; State: number }>('GET', path);
    assert.deepEqual([Output.SharedContainers, Output.State], [['c'], 2]);
    assert.deepEqual((await hns('DELETE', path)).Output, { ID: endpointId });
    assert.deepEqual((await hns('GET', '/endpoints/')).Output, []);
    assert.equal((await hns('DELETE', `/networks/${ID}`)).Success, true);
  });

  test('a failure is an answer with words and a code', async () => {
    assert.deepEqual(await hns('GET', '/networks/00000000-0000-0000-0000-000000000000'), {
      Success: false,
      Error: 'The network was not found. ',
      ErrorCode: 0x803b0001,
    });
    assert.equal((await hns('POST', '/endpoints/', { VirtualNetwork: 'none' })).Success, false);
    assert.equal((await hns('GET', '/namespaces/none')).Error, 'Element not found. ');
    assert.equal((await hns('BREW', '/networks/')).Success, false);
  });

  test('namespaces take endpoints and policy lists refer to them', async () => {
    const { ID: network } = (await hns<{ ID: string }>('POST', '/networks/', { Type: 'L2Bridge' })).Output;
    const { ID: endpoint } = (await hns<{ ID: string }>('POST', '/endpoints/', { VirtualNetwork: network }))
      .Output;
    const { ID: namespace } = (await hns<{ ID: string }>('POST', '/namespaces/', {})).Output;
    const resource = { Type: 'Endpoint', Data: { Id: endpoint } };
    const taken = await hns<{ ResourceList: object[] }>(
      'POST',
      `/namespaces/${namespace}/addresource`,
      resource,
    );
    assert.deepEqual(taken.Output.ResourceList, [resource]);
    await hns('POST', `/namespaces/${namespace}/removeresource`, resource);
    const References = [`/endpoints/${endpoint}`];
    const list = await hns<{ References: string[] }>('POST', '/policylists/', { References, Policies: [] });
    assert.deepEqual(list.Output.References, References);
    const missing = { References: ['/endpoints/none'] };
    assert.equal((await hns('POST', '/policylists/', missing)).Success, false);
    assert.equal((await hns<{ Major: number }>('GET', '/globals/version')).Output.Major, 9);
    const statistics = await hns<{ EndpointId: string }>('GET', `/endpointstats/${endpoint}`);
    assert.equal(statistics.Output.EndpointId, endpoint);
  });
});

/** `DriverInfo`: the filter driver, and no home directory. */
function driverInfo(): Buffer {
  const info = Buffer.alloc(16);
  info.writeInt32LE(1);
  setPointer(info, 8, wideString(''));
  return info;
}

const info = driverInfo();

async function descriptors(...paths: string[]): Promise<{ descriptors: Buffer; count: bigint }> {
  const bytes = Buffer.alloc(paths.length * 32);
  for (const [index, path] of paths.entries()) {
    const { guid } = await dll.NameToGuid({ name: path.slice(path.lastIndexOf('\\') + 1) });
    const at = index * 32;
    const [first = '', second = '', third = '', ...rest] = guid.split('-');
    bytes.writeUInt32LE(Number.parseInt(first, 16), at);
    bytes.writeUInt16LE(Number.parseInt(second, 16), at + 4);
    bytes.writeUInt16LE(Number.parseInt(third, 16), at + 6);
    Buffer.from(rest.join(''), 'hex').copy(bytes, at + 8);
    setPointer(bytes, at + 24, wideString(path));
  }
  return { descriptors: bytes, count: BigInt(paths.length) };
}

async function mountPath(id: string): Promise<string> {
  const { length } = await dll.GetLayerMountPath({ info, id, length: 0n, buffer: null });
  const path = Buffer.alloc(Number(length) * 2);
  await dll.GetLayerMountPath({ info, id, length, buffer: path });
  return path.toString('utf16le', 0, path.length - 2);
}

describe('container layers by vmcompute.dll', () => {
  after(() => assertNothingLeakedFrom(ledger));

  const base = 'C:\\layers\\base';
  const upper = 'C:\\layers\\über';
  const scratch = 'C:\\layers\\scratch';
  const pathNotFound = { hresult: 0x80070003 };
  const inUse = { hresult: 0x80070020 };
  const invalid = { hresult: 0x80070057 };

  test('a writable layer over two others is mounted, filtered, and taken down in order', async () => {
    await dll.ProcessBaseImage({ path: base });
    await dll.ImportLayer({ info, id: upper, path: 'C:\\import', ...(await descriptors(base)) });
    const parents = await descriptors(upper, base);
    await dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...parents });
    assert.deepEqual(await dll.LayerExists({ info, id: scratch }), { exists: true });
    assert.equal(await mountPath(scratch), scratch);
    await dll.ExpandSandboxSize({ info, id: scratch, size: 40n << 30n });
    await assert.rejects(dll.PrepareLayer({ info, id: scratch, ...parents }), { hresult: 0x80070015 });
    await dll.ActivateLayer({ info, id: scratch });
    await assert.rejects(dll.ActivateLayer({ info, id: scratch }), inUse);
    await assert.rejects(dll.PrepareLayer({ info, id: scratch, ...(await descriptors(base)) }), invalid);
    await dll.PrepareLayer({ info, id: scratch, ...parents });
    assert.match(await mountPath(scratch), /^\\\\\?\\Volume\{[0-9a-f-]{36}\}\\$/);
    await assert.rejects(dll.DeactivateLayer({ info, id: scratch }), inUse);
    await assert.rejects(dll.DestroyLayer({ info, id: scratch }), inUse);
    await dll.UnprepareLayer({ info, id: scratch });
    await assert.rejects(dll.UnprepareLayer({ info, id: scratch }), invalid);
    await dll.ExportLayer({ info, id: scratch, path: 'C:\\export', ...parents });
    await dll.DeactivateLayer({ info, id: scratch });
    await dll.DestroyLayer({ info, id: scratch });
    assert.deepEqual(await dll.LayerExists({ info, id: scratch }), { exists: false });
    await assert.rejects(mountPath(scratch), pathNotFound);
  });

  test('layers are created, copied, and refused when what they lie on is not there', async () => {
    await dll.CreateLayer({ info, id: 'C:\\layers\\empty', parent: base });
    await assert.rejects(dll.CreateLayer({ info, id: 'C:\\layers\\empty', parent: '' }), {
      hresult: 0x800700b7,
    });
    await assert.rejects(dll.CreateLayer({ info, id: 'C:\\layers\\x', parent: 'C:\\none' }), pathNotFound);
    const destinationId = 'C:\\layers\\copy';
    await dll.CopyLayer({ info, sourceId: upper, destinationId, ...(await descriptors(base)) });
    await dll.ActivateLayer({ info, id: destinationId });
    assert.equal(await mountPath(destinationId), destinationId);
    const none = await descriptors('C:\\none');
    await assert.rejects(dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...none }), pathNotFound);
    const misnamed = await descriptors(base);
    misnamed.descriptors.writeUInt32LE(0);
    await assert.rejects(dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...misnamed }), invalid);
    await assert.rejects(dll.ActivateLayer({ info: null, id: base }), invalid);
    await assert.rejects(dll.ActivateLayer({ info: Buffer.alloc(16), id: base }), invalid);
  });

  test('images are processed, and a VM may use a file', async () => {
    await dll.ProcessUtilityImage({ path: `${base}\\UtilityVM` });
    assert.equal((await dll.GetBaseImages({})).images, '{"Images":[]}');
    await dll.GrantVmAccess({ vmId: 'vm', filePath: 'C:\\disk.vhdx' });
    await assert.rejects(dll.GrantVmAccess({ vmId: '', filePath: 'C:\\disk.vhdx' }), invalid);
    const { guid } = await dll.NameToGuid({ name: 'base' });
    assert.deepEqual(await dll.NameToGuid({ name: 'base' }), { guid });
    assert.notEqual((await dll.NameToGuid({ name: 'other' })).guid, guid);
  });
});
