import assert from 'node:assert/strict';
import type { ContractTest } from './contract-test.ts';
import {
  acceptAgent,
  assertFails,
  assertNothingLeft,
  boot,
  bridgePort,
  receiveNegotiated,
  sendNegotiate,
} from './expectations.ts';

const lun = (number: number, controller = '1'): string =>
  `VirtualMachine/Devices/Scsi/${controller}/Attachments/${number}`;
/** Controller 1 by its GUID (upstream `internal/protocol/guestrequest`). */
const secondController = '0110f83b-de10-5172-a266-78bca56bf50a';

export const devices: Record<string, ContractTest> = {
  async 'disks come to a running system and go'(harness) {
    const path = await harness.createDisk();
    const { system, bridge } = await boot(harness, harness.id('disks'));
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    const disk = { Type: 'VirtualDisk', Path: path, ReadOnly: true };
    const add = { RequestType: 'Add', Settings: disk } as const;
    await system.modify({ ResourcePath: lun(0), ...add });
    await system.modify({ ResourcePath: lun(5), ...add });
    await assertFails(system.modify({ ResourcePath: lun(5), ...add }), 'ERROR_ALREADY_EXISTS', 'LUN 5');
    await system.modify({ ResourcePath: lun(0, secondController), RequestType: 'Remove' });
    await assertFails(
      system.modify({ ResourcePath: lun(0), RequestType: 'Remove' }),
      'ERROR_NOT_FOUND',
      'LUN 0',
    );
    await system.modify({ ResourcePath: lun(0), Settings: disk });

    await assertFails(
      system.modify({ ResourcePath: lun(1), RequestType: 'Add', Settings: { Type: 'VirtualDisk' } }),
      'HCS_E_INVALID_JSON',
      'Settings.Path',
    );
    await assertFails(
      system.modify({
        ResourcePath: lun(1),
        RequestType: 'Add',
        Settings: { ...disk, Path: '/nonexistent' },
      }),
      'ERROR_FILE_NOT_FOUND',
      '/nonexistent',
    );
    for (const unsupported of [
      { ResourcePath: lun(64), ...add },
      { ResourcePath: lun(0, '7'), ...add },
      { ResourcePath: lun(0), RequestType: 'Update', Settings: disk },
      { ResourcePath: 'VirtualMachine/Devices/VirtualSmb/Shares', Settings: { Name: 'share', Path: '/' } },
    ] as const) {
      await assertFails(system.modify(unsupported), 'ERROR_NOT_SUPPORTED', unsupported.ResourcePath);
    }
    await system.terminate();
    await assertNothingLeft(harness);
  },

  async 'the guest dials the host and speaks, and a port has one listener'(harness) {
    const id = harness.id('dial');
    const system = await harness.compute.create(id, harness.document());
    await using _ = system;
    const listener = await harness.sockets.listen(system.runtimeId, bridgePort);
    assert.equal(listener.port, bridgePort);
    await assert.rejects(harness.sockets.listen(system.runtimeId, bridgePort));
    await system.start();
    const bridge = await acceptAgent(harness, listener);
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
  },

  async 'a port is free again when its listener has closed'(harness) {
    const system = await harness.compute.create(harness.id('ports'), harness.document());
    await using _ = system;
    const first = await harness.sockets.listen(system.runtimeId, 5000);
    await first[Symbol.asyncDispose]();
    await assert.rejects(first.accept());
    await using second = await harness.sockets.listen(system.runtimeId, 5000);
    const controller = new AbortController();
    const reason = new Error('enough');
    const accepting = second.accept(controller);
    controller.abort(reason);
    await assert.rejects(accepting, reason);
  },

  async 'connecting where nothing listens is refused'(harness) {
    const { system, bridge } = await boot(harness, harness.id('refused'));
    await using _ = system;
    sendNegotiate(bridge);
    await receiveNegotiated(harness, bridge);
    await assert.rejects(harness.sockets.connect(system.runtimeId, 4711), { code: 'ECONNREFUSED' });
  },

  async 'sockets of an unknown VM are refused'(harness) {
    const vmId = '11111111-2222-4333-8444-555555555555';
    await assertFails(harness.sockets.listen(vmId, 5000), 'HCS_E_SYSTEM_NOT_FOUND', vmId);
    await assertFails(harness.sockets.connect(vmId, 5000), 'HCS_E_SYSTEM_NOT_FOUND', vmId);
  },
};
