import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HResultName } from '@hcsshim/schema';
import { findFault } from '@hcsshim/schema/hcs';
import { findFault as findV1Fault } from '@hcsshim/schema/hcs-v1';
import type { ComputeSystem } from '../compute-service.ts';
import { stopComputeSystem } from '../stop-compute-system.ts';
import type { ContractTest } from './contract-test.ts';
import {
  assertFails,
  assertNothingLeft,
  assertState,
  boot,
  bridgePort,
  exitOf,
  receiveNegotiated,
  sendNegotiate,
} from './expectations.ts';

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Call = 'start' | 'shutdown' | 'pause' | 'resume' | 'modify';

function call(system: ComputeSystem, name: Call): Promise<void> {
  return name === 'modify' ? system.modify({ ResourcePath: 'VirtualMachine' }) : system[name]();
}

async function assertRefuses(
  system: ComputeSystem,
  calls: readonly Call[],
  code: HResultName,
  state?: string,
): Promise<void> {
  for (const name of calls) await assertFails(call(system, name), code, ...(state ? [state] : []));
}

export const lifeCycle: Record<string, ContractTest> = {
  async 'a new system is Created, and create, open, enumerate and properties agree about it'(harness) {
    const id = harness.id('new');
    await using system = await harness.compute.create(id, harness.document({ Owner: 'contract' }));
    assert.equal(system.id, id);
    assert.match(system.runtimeId, guid);
    const expected = {
      Id: id,
      SystemType: 'VirtualMachine',
      Owner: 'contract',
      RuntimeId: system.runtimeId,
      State: 'Created',
    };
    assert.deepEqual(await harness.compute.enumerate({ Ids: [id] }), [expected]);
    const properties = await system.getProperties();
    assert.deepEqual({ ...properties, ...expected }, properties);
    assert.equal(findFault('Properties', properties), undefined);
    await using second = await harness.compute.open(id);
    assert.equal(second.runtimeId, system.runtimeId);
  },

  async 'an id can be 76 characters long'(harness) {
    const id = harness.id('x').padEnd(76, 'y');
    const { system, bridge } = await boot(harness, id);
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
  },

  async 'create with an id that is taken fails, and leaves the first system alone'(harness) {
    const id = harness.id('twice');
    await using system = await harness.compute.create(id, harness.document());
    await assertFails(harness.compute.create(id, harness.document()), 'HCS_E_SYSTEM_ALREADY_EXISTS', id);
    await assertState(system, 'Created');
  },

  async 'of creates with one id at the same time, one succeeds'(harness) {
    const id = harness.id('race');
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => harness.compute.create(id, harness.document())),
    );
    const created = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    assert.equal(created.length, 1);
    await created[0]?.[Symbol.asyncDispose]();
    await assertNothingLeft(harness);
  },

  async 'an id that is no id is refused'(harness) {
    for (const id of ['', '.', '../x', 'a/b', 'a\0b', 'x'.repeat(1000)]) {
      await assertFails(harness.compute.create(id, harness.document()), 'E_INVALIDARG');
      await assertFails(harness.compute.open(id), 'HCS_E_SYSTEM_NOT_FOUND');
    }
  },

  async 'open of an unknown id fails with HCS_E_SYSTEM_NOT_FOUND'(harness) {
    const id = harness.id('nobody');
    await assertFails(harness.compute.open(id), 'HCS_E_SYSTEM_NOT_FOUND', id);
  },

  async 'enumerate filters by id, owner and type'(harness) {
    const [a, b] = [harness.id('a'), harness.id('b')];
    await using _a = await harness.compute.create(a, harness.document({ Owner: 'alice' }));
    await using _b = await harness.compute.create(b, harness.document({ Owner: 'bob' }));
    const ids = async (query?: Parameters<typeof harness.compute.enumerate>[0]): Promise<string[]> =>
      (await harness.compute.enumerate(query)).map(({ Id }) => Id).sort();
    assert.deepEqual(await ids({ Ids: [a, b] }), [a, b]);
    assert.deepEqual(await ids({ Ids: [b, harness.id('c')] }), [b]);
    assert.deepEqual(await ids({ Ids: [a, b], Owners: ['alice'] }), [a]);
    assert.deepEqual(await ids({ Ids: [a, b], Types: ['Container'] }), []);
    assert.deepEqual(await ids({ Ids: [a, b], Types: ['VirtualMachine'] }), [a, b]);
  },

  async 'a document with a mistake is refused with the name of the field, and leaves nothing'(harness) {
    const id = harness.id('mistake');
    const { VirtualMachine: machine } = harness.document();
    assert.ok(machine);
    const { Processor } = machine.ComputeTopology;
    const create = (changes: object): Promise<unknown> =>
      harness.compute.create(id, harness.document({ VirtualMachine: { ...machine, ...changes } }));
    const withDevices = (devices: object): Promise<unknown> => create({ Devices: devices });
    await assertFails(
      create({ ComputeTopology: { Memory: { SizeInMB: 'much' }, Processor } }),
      'HCS_E_INVALID_JSON',
      'VirtualMachine.ComputeTopology.Memory.SizeInMB',
    );
    await assertFails(
      withDevices({ Scsi: { '0': { Attachments: { '64': {} } } } }),
      'HCS_E_INVALID_JSON',
      'VirtualMachine.Devices.Scsi.0.Attachments.64',
    );
    await assertFails(
      withDevices({ VirtualSmb: { Shares: [{ Name: 'os' }] } }),
      'ERROR_NOT_SUPPORTED',
      'VirtualMachine.Devices.VirtualSmb',
    );
    const missing = '/nonexistent/disk.vhd';
    await assertFails(
      withDevices({ Scsi: { '1': { Attachments: { '0': { Type: 'VirtualDisk', Path: missing } } } } }),
      'ERROR_FILE_NOT_FOUND',
      missing,
    );
    await assertNothingLeft(harness);
  },

  async 'a system takes only calls that its state allows, and the refusal names both states'(harness) {
    const id = harness.id('states');
    const { VirtualMachine: machine } = harness.document();
    assert.ok(machine);
    const system = await harness.compute.create(id, harness.document());
    await using _ = system;
    await assertRefuses(system, ['pause', 'shutdown', 'modify'], 'HCS_E_INVALID_STATE', 'Created');
    await assertFails(system.pause(), 'HCS_E_INVALID_STATE', 'Running');
    await assertFails(system.resume(), 'HCS_E_INVALID_STATE', 'Created', 'Paused');

    await system.start();
    await assertState(system, 'Running');
    await assertRefuses(system, ['start', 'resume'], 'HCS_E_INVALID_STATE', 'Running');

    await system.pause();
    await assertState(system, 'Paused');
    await assertRefuses(system, ['start', 'pause', 'shutdown', 'modify'], 'HCS_E_INVALID_STATE', 'Paused');

    await system.resume();
    await assertState(system, 'Running');

    await system.terminate();
    await assertRefuses(
      system,
      ['start', 'pause', 'resume', 'shutdown', 'modify'],
      'HCS_E_SYSTEM_ALREADY_STOPPED',
    );
    const properties = await system.getProperties();
    assert.equal(properties.State, 'Stopped');
    assert.equal(properties.ExitType, 'ForcedExit');
    await system.terminate();
  },

  async 'a paused guest does not answer, a resumed one does'(harness) {
    const { system, bridge } = await boot(harness, harness.id('pause'));
    await using _ = system;
    await system.pause();
    sendNegotiate(bridge);
    let answered = false;
    const answer = receiveNegotiated(harness, bridge).then(() => {
      answered = true;
    });
    await sleep(500);
    assert.equal(answered, false);
    await system.resume();
    await answer;
  },

  async 'a paused system can be terminated'(harness) {
    const { system } = await boot(harness, harness.id('paused-end'));
    await using _ = system;
    await system.pause();
    await system.terminate();
    await assertNothingLeft(harness);
  },

  async 'shutdown lets the guest end by itself'(harness) {
    const { system, bridge } = await boot(harness, harness.id('shutdown'));
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    await system.shutdown();
    assert.equal((await exitOf(harness, system)).type, 'GracefulExit');
    await assertNothingLeft(harness);
  },

  async 'all waiters hear of the end, early and late ones, and the id is free again'(harness) {
    const id = harness.id('end');
    const system = await harness.compute.create(id, harness.document());
    await using _ = system;
    await system.start();
    const waiting = Array.from({ length: 20 }, () => exitOf(harness, system));
    await system.terminate();
    const exits = [...(await Promise.all(waiting)), await exitOf(harness, system)];
    for (const exit of exits) assert.equal(exit.type, 'ForcedExit');
    assert.deepEqual(await harness.compute.enumerate({ Ids: [id] }), []);
    await assertFails(harness.compute.open(id), 'HCS_E_SYSTEM_NOT_FOUND');
    await using again = await harness.compute.create(id, harness.document());
    assert.notEqual(again.runtimeId, system.runtimeId);
  },

  async 'terminate ends a system that never ran'(harness) {
    const system = await harness.compute.create(harness.id('unstarted'), harness.document());
    await using _ = system;
    await system.terminate();
    assert.equal((await exitOf(harness, system)).type, 'ForcedExit');
    await assertNothingLeft(harness);
  },

  async 'a waiter that gives up gets its reason, and no other is disturbed'(harness) {
    const system = await harness.compute.create(harness.id('waiters'), harness.document());
    await using _ = system;
    const controller = new AbortController();
    const reason = new Error('enough');
    const impatient = system.wait({ signal: controller.signal });
    const patient = exitOf(harness, system);
    controller.abort(reason);
    await assert.rejects(impatient, reason);
    await assert.rejects(system.wait({ signal: controller.signal }), reason);
    await system.terminate();
    assert.equal((await patient).type, 'ForcedExit');
  },

  async 'a create that is given up rejects with the reason and leaves nothing'(harness) {
    const reason = new Error('enough');
    await assert.rejects(
      harness.compute.create(harness.id('given-up'), harness.document(), {
        signal: AbortSignal.abort(reason),
      }),
      reason,
    );
    for (const turns of [0, 1, 5]) {
      const controller = new AbortController();
      const creating = harness.compute.create(harness.id('given-up'), harness.document(), controller);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(reason);
      const created = await creating.catch((error: unknown) => {
        assert.equal(error, reason);
        return undefined;
      });
      await created?.[Symbol.asyncDispose]();
      await assertNothingLeft(harness);
    }
  },

  async 'a start that is given up rejects with the reason, and what had begun is undone'(harness) {
    const reason = new Error('enough');
    for (const turns of [0, 1, 20]) {
      const system = await harness.compute.create(harness.id('given-up'), harness.document());
      const controller = new AbortController();
      const starting = system.start(controller);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(reason);
      await starting.catch((error: unknown) => assert.equal(error, reason));
      await system.terminate();
      assert.equal((await exitOf(harness, system)).type, 'ForcedExit');
      await system[Symbol.asyncDispose]();
      await assertNothingLeft(harness);
    }
  },

  async 'a system that dies is an unexpected exit, told in words'(harness) {
    const id = harness.id('killed');
    const { system } = await boot(harness, id);
    await using _ = system;
    const waiting = exitOf(harness, system);
    await harness.killMonitor(id);
    const exit = await waiting;
    assert.equal(exit.type, 'UnexpectedExit');
    assert.match(exit.reason, /killed/);
    await assertFails(system.pause(), 'HCS_E_SYSTEM_ALREADY_STOPPED');
    await assertNothingLeft(harness);
  },

  async 'a running system counts its processor time and memory'(harness) {
    const { system, bridge } = await boot(harness, harness.id('statistics'));
    await using _ = system;
    // Its guest has worked then: in a sandbox what it did before its cgroups had it does not count.
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    const properties = await system.getProperties({ PropertyTypes: ['Statistics'] });
    assert.equal(findFault('Properties', properties), undefined);
    const { Statistics } = properties;
    assert.ok(Statistics);
    assert.ok(Statistics.Uptime100ns > 0);
    assert.ok(Statistics.Processor.TotalRuntime100ns > 0);
    assert.ok(Statistics.Memory.MemoryUsageCommitBytes > 0);
  },

  async 'schema 1 and schema 2 tell the same of a system'(harness) {
    const { system } = await boot(harness, harness.id('schemas'));
    await using _ = system;
    const { Id, State, Owner } = await system.getProperties();
    const old = await system.getPropertiesV1({ PropertyTypes: ['Statistics'] });
    assert.equal(findV1Fault('ContainerProperties', old), undefined);
    assert.deepEqual({ Id: old.Id, State: old.State, Owner: old.Owner }, { Id, State, Owner });
    assert.ok((old.Statistics?.Uptime100ns ?? 0) > 0);
    assert.equal((await system.getPropertiesV1()).Statistics, undefined);
    await system.terminate();
    const { Stopped, ExitType } = await system.getPropertiesV1();
    assert.deepEqual({ Stopped, ExitType }, { Stopped: true, ExitType: 'ForcedExit' });
  },

  async 'a guest that shuts down is stopped by that, and no second rung is needed'(harness) {
    const { system, bridge } = await boot(harness, harness.id('ladder'));
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    const stopped = await stopComputeSystem(system);
    assert.equal(stopped.rung, 'shutdown');
    assert.equal(stopped.exit.type, 'GracefulExit');
    assert.equal((await stopComputeSystem(system)).rung, 'none');
    assert.deepEqual(system.pendingOperations(), []);
  },

  async 'a system that cannot be asked to shut down is stopped by its termination'(harness) {
    await using system = await harness.compute.create(harness.id('ladder'), harness.document());
    const { rung, exit } = await stopComputeSystem(system);
    assert.equal(rung, 'terminate');
    assert.equal(exit.type, 'ForcedExit');
  },

  async 'a crash ends the system unexpectedly, and is told in words'(harness) {
    const { system, bridge } = await boot(harness, harness.id('crash'));
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    const waiting = exitOf(harness, system);
    await system.crash();
    const exit = await waiting;
    assert.equal(exit.type, 'UnexpectedExit');
    assert.match(exit.reason, /panicked|crashed/);
  },

  async 'the processes of a VM are those of its guest agent, and the service refuses to touch them'(harness) {
    const { system } = await boot(harness, harness.id('agent'));
    await using _ = system;
    await assertFails(system.createProcess({ CommandLine: 'sh' }), 'ERROR_NOT_SUPPORTED');
    await assertFails(system.openProcess(1), 'ERROR_NOT_SUPPORTED');
  },

  async 'a listener that the system no longer serves rejects'(harness) {
    const system = await harness.compute.create(harness.id('listener'), harness.document());
    await using _ = system;
    const listener = await harness.sockets.listen(system.runtimeId, bridgePort);
    const accepting = listener.accept();
    accepting.catch(() => {});
    await system.terminate();
    await assert.rejects(accepting);
  },
};
