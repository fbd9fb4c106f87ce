import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ComputeSystem, isHcsError, type Phase } from '@hcsshim/hcs';
import { createContainer, createWindowsComputeService, hotAttachEndpoint } from '@hcsshim/hcs/windows';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { JobObject } from '@hcsshim/windows';
import type { Fault } from './memory-backend.ts';
import { openHandles } from './open-handles.ts';
import { assertNothingLeaked, ledger } from './stand-in-ledger.ts';

const compute = createWindowsComputeService();

function document(fault?: Fault): ComputeSystemDocument {
  return {
    Owner: fault === undefined ? 'test' : `fault: ${fault}`,
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  };
}

/** Changes a system, with a stand-in that does as told. */
function modify(system: ComputeSystem, fault: Fault, signal?: AbortSignal): Promise<void> {
  return system.modify({ ResourcePath: `fault: ${fault}` }, signal ? { signal } : {});
}

function calls(procedure: string): number {
  return ledger.StandInCountCalls({ procedure });
}

describe('the compute service of Windows, over a computecore.dll that misbehaves', {
  timeout: 110_000,
}, () => {
  afterEach(assertNothingLeaked);

  test('a refusal has its code, the action, and what the code means', async () => {
    await assert.rejects(compute.create('x', document('refused')), {
      code: 'E_ACCESSDENIED',
      message: 'Cannot create compute system "x": the caller lacks the rights, E_ACCESSDENIED (0x80070005)',
    });
  });

  test('a failed operation has the words of its error document', async () => {
    await assert.rejects(compute.create('x', document('failed')), {
      code: 'E_FAIL',
      problem: 'as asked for; By a test',
    });
    await using system = await compute.create('x', document());
    await assert.rejects(modify(system, 'failed'), {
      message: 'Cannot modify compute system "x": as asked for; By a test, E_FAIL (0x80004005)',
    });
    await assert.rejects(modify(system, 'unknown code'), { code: 'E_FAIL', message: /0x8BADF00D/ });
  });

  test('success without a handle, and answers that are no JSON, are errors', async () => {
    await assert.rejects(compute.create('no handle', document('no handle')), { code: 'E_UNEXPECTED' });
    await using system = await compute.create('x', document());
    await assert.rejects(modify(system, 'not json'), { code: 'ERROR_INVALID_DATA' });
    await assert.rejects(compute.enumerate({ Owners: ['fault: not json'] }), { code: 'ERROR_INVALID_DATA' });
  });

  test('documents with mistakes are refused before the call', async () => {
    const before = calls('HcsCreateComputeSystem');
    const odd = { ...document(), Machine: {} } as ComputeSystemDocument;
    await assert.rejects(compute.create('x', odd), {
      code: 'HCS_E_INVALID_JSON',
      message: /^Cannot create compute system "x": field "Machine" /,
    });
    const later = { ...document(), VirtualMachine: { Chipset: { EnableHibernation: true } } };
    await assert.rejects(compute.create('x', later as unknown as ComputeSystemDocument), {
      code: 'HCS_E_INVALID_JSON',
      message: /field "VirtualMachine.Chipset.EnableHibernation" .*20348/,
    });
    assert.equal(calls('HcsCreateComputeSystem'), before);
    await assert.rejects(compute.enumerate({ Ids: 'x' as unknown as string[] }), {
      code: 'HCS_E_INVALID_JSON',
    });
    await using system = await compute.create('x', document());
    const request = { ResourcePath: 'x', RequestType: 'Change' as 'Add' };
    await assert.rejects(system.modify(request), { code: 'HCS_E_INVALID_JSON', message: /"RequestType"/ });
    const disk = {
      ResourcePath: 'VirtualMachine/Devices/Scsi/0/Attachments/0',
      Settings: { Type: 'Floppy' },
    };
    const modified = calls('HcsModifyComputeSystem');
    await assert.rejects(system.modify(disk), { code: 'HCS_E_INVALID_JSON', message: /"Settings.Type"/ });
    assert.equal(calls('HcsModifyComputeSystem'), modified);
  });

  test('a container is created from a document of schema 1, with what the environment adds', async () => {
    const before = calls('HcsCreateComputeSystem');
    const config = { SystemType: 'Container', Name: 'x' };
    process.env.HCSSHIM_CREATECONTAINER_ADDITIONALJSON = '{"Owner":"fault: refused","Brand":1}';
    try {
      await assert.rejects(createContainer(compute, 'x', config), { code: 'E_ACCESSDENIED' });
      process.env.HCSSHIM_CREATECONTAINER_ADDITIONALJSON = '{"HostName":1}';
      await assert.rejects(createContainer(compute, 'x', config), { message: /field "HostName"/ });
    } finally {
      delete process.env.HCSSHIM_CREATECONTAINER_ADDITIONALJSON;
    }
    {
      await using system = await createContainer(compute, 'x', config);
      await system.start();
      await system.terminate();
    }
    const odd = { ...config, MemoryMaximumInMB: 'much' as unknown as number };
    await assert.rejects(compute.create('x', odd), {
      code: 'HCS_E_INVALID_JSON',
      message: /MemoryMaximumInMB/,
    });
    assert.equal(calls('HcsCreateComputeSystem'), before + 2);
  });

  test('an endpoint is attached to a container that runs, and what does not exist has its code', async () => {
    const services = { compute, endpoints: { isAttached: async () => false } };
    await assert.rejects(hotAttachEndpoint(services, 'web', 'nic'), { code: 'HCS_E_SYSTEM_NOT_FOUND' });
    await using container = await createContainer(compute, 'web', { SystemType: 'Container', Name: 'web' });
    await container.start();
    const before = calls('HcsModifyComputeSystem');
    await hotAttachEndpoint(services, 'web', 'nic');
    assert.equal(calls('HcsModifyComputeSystem'), before + 1);
    await container.terminate();
  });

  test('an operation that never ends is given up in time, cancelled, and leaves no system', async () => {
    process.env.HCSSHIM_TIMEOUT_SYSTEMCREATE = '1';
    const cancelled = calls('HcsCancelOperation');
    const terminated = calls('HcsTerminateComputeSystem');
    try {
      await assert.rejects(compute.create('x', document('never')), {
        code: 'HCS_E_OPERATION_TIMEOUT',
        message: /^Cannot create compute system "x": no answer within 1 s/,
      });
    } finally {
      delete process.env.HCSSHIM_TIMEOUT_SYSTEMCREATE;
    }
    assert.equal(calls('HcsCancelOperation'), cancelled + 1);
    assert.equal(calls('HcsTerminateComputeSystem'), terminated + 1);
    await assert.rejects(compute.open('x'), { code: 'HCS_E_SYSTEM_NOT_FOUND' });
  });

  test('an operation that never ends is given up by its signal', async () => {
    await using system = await compute.create('x', document());
    const reason = new Error('enough');
    const controller = new AbortController();
    const modifying = modify(system, 'never', controller.signal);
    await sleep(50);
    controller.abort(reason);
    await assert.rejects(modifying, (error) => error === reason);
    await assert.rejects(modify(system, 'never', controller.signal), (error) => error === reason);
  });

  test('callbacks that come too often, and events that nobody knows, do no harm', async () => {
    await using system = await compute.create('x', document());
    for (const fault of ['twice', 'storm', 'odd events'] as const) await modify(system, fault);
    await system.start();
    const waiting = Array.from({ length: 200 }, () => system.wait());
    await system.shutdown();
    for (const exit of await Promise.all(waiting))
      assert.deepEqual(exit, { type: 'GracefulExit', reason: 'it shut down' });
  });

  test('each handle hears of the end by one callback of its own', async () => {
    const before = calls('HcsSetComputeSystemCallback');
    await using first = await compute.create('x', document());
    await using second = await compute.open('x');
    assert.equal(calls('HcsSetComputeSystemCallback'), before + 2);
    await first.start();
    await second.terminate();
    assert.deepEqual(await first.wait(), { type: 'ForcedExit', reason: 'it was terminated' });
    assert.deepEqual(await second.wait(), await first.wait());
    assert.equal(calls('HcsSetComputeSystemCallback'), before + 2);
  });

  test('who waits hears that the service has gone, early and late', async () => {
    await using system = await compute.create('x', document());
    const gone = { code: 'HCS_E_SERVICE_DISCONNECT', message: /^Cannot wait for compute system "x": / };
    const told = assert.rejects(system.wait(), gone);
    await modify(system, 'disconnect');
    await told;
    await assert.rejects(system.wait(), gone);
  });

  test('a system that has ended tells its properties, though the service refuses to', async () => {
    await using system = await compute.create('x', document());
    await system.terminate();
    const { Id, State, ExitType } = await system.getProperties();
    assert.deepEqual({ Id, State, ExitType }, { Id: 'x', State: 'Stopped', ExitType: 'ForcedExit' });
    await assert.rejects(system.start(), { code: 'HCS_E_SYSTEM_ALREADY_STOPPED' });
    await system.terminate();
  });

  test('statistics of a container come from the service when its silo does not tell them', async () => {
    const id = `silo-${process.pid}`;
    await using system = await compute.create(id, { ...document(), Container: {} } as ComputeSystemDocument);
    await system.start();
    const tried: unknown[] = [];
    const listen = (message: unknown) => void tried.push((message as Phase).failed);
    subscribe('hcsshim:phase', listen);
    const ask = async () => (await system.getProperties({ PropertyTypes: ['Statistics'] })).Statistics;
    try {
      assert.equal((await ask())?.Uptime100ns, 17);
      await using silo = await JobObject.create({ name: `\\Container_${id}`, useNt: true });
      assert.deepEqual(await silo.processIds(), []);
      const before = openHandles();
      for (let count = 0; count < 50; count++) assert.equal((await ask())?.Uptime100ns, 17);
      assert.ok(openHandles() - before < 10, `${openHandles() - before} handles more than before`);
    } finally {
      unsubscribe('hcsshim:phase', listen);
    }
    assert.deepEqual(tried, Array(51).fill(true));
  });

  test('who waits with a handle that is closed is told so, and a handle is closed once', async () => {
    const before = calls('HcsCloseComputeSystem');
    const system = await compute.create('x', document());
    const told = Array.from({ length: 5 }, () =>
      assert.rejects(system.wait(), { code: 'ERROR_INVALID_HANDLE' }),
    );
    const calling = system.getProperties();
    const closing = [system[Symbol.asyncDispose](), system[Symbol.asyncDispose]()];
    await Promise.all(told);
    await calling.catch((error: unknown) => assert.ok(isHcsError(error), String(error)));
    await Promise.all(closing);
    await system[Symbol.asyncDispose]();
    assert.equal(calls('HcsCloseComputeSystem'), before + 1);
  });

  test('systems that come and go, many at a time, leave no handle, string or callback', async () => {
    const live = async (id: string): Promise<void> => {
      await using system = await compute.create(id, document());
      await system.start();
      const waiting = system.wait();
      await system.terminate();
      assert.equal((await waiting).type, 'ForcedExit');
    };
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 10 }, (_, index) => live(`many ${round} ${index}`)));
  });
});
