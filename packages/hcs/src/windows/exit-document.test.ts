import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SystemExitStatus } from '@hcsshim/schema/hcs';
import type { SystemExit } from '../compute-service.ts';
import { readExitDocument } from './exit-document.ts';

function read(document: SystemExitStatus): SystemExit {
  return readExitDocument(JSON.stringify(document));
}

describe('an exit document', () => {
  test('tells the type of the exit, and a reason in words', () => {
    assert.deepEqual(read({ Status: 0, ExitType: 'GracefulExit' }), {
      type: 'GracefulExit',
      reason: 'it shut down',
    });
    assert.deepEqual(read({ Status: 0, ExitType: 'ForcedExit' }), {
      type: 'ForcedExit',
      reason: 'it was terminated',
    });
    assert.deepEqual(read({ Status: 0xc0370106 | 0, ExitType: 'UnexpectedExit' }), {
      type: 'UnexpectedExit',
      reason: 'it ended unexpectedly, HCS_E_UNEXPECTED_EXIT (0xC0370106)',
    });
  });

  test('of a newer build says who or what ended the system', () => {
    const reason = (record: NonNullable<SystemExitStatus['Attribution']>[number]): string =>
      read({ Status: 0, ExitType: 'UnexpectedExit', Attribution: [{}, record] }).reason;
    assert.equal(
      reason({ WorkerExit: { Detail: 'ProcessUnexpectedExit' } }),
      'its worker process crashed or was killed',
    );
    assert.equal(reason({ WorkerExit: { Detail: 'FastSave' } }), 'its worker process ended: FastSave');
    assert.equal(reason({ GuestCrash: { CrashParameters: [1] } }), 'the guest crashed');
    assert.equal(reason({ TripleFault: {} }), 'a processor of the guest ran into a triple fault');
    assert.equal(reason({ SystemExit: { Detail: 'Terminate' } }), 'it was terminated');
    assert.equal(
      reason({ OperationFailure: { Detail: 'CreateInternalError' } }),
      'an operation failed: CreateInternalError',
    );
    assert.equal(reason({ VirtualDeviceFailure: { Name: 'disk' } }), 'its device disk failed');
    assert.equal(reason({ InjectNonMaskableInterrupt: {} }), 'it ended unexpectedly');
  });

  test('of a build before 18362 has a status alone, which tells the type', () => {
    assert.equal(read({ Status: 0 }).type, 'GracefulExit');
    assert.equal(read({ Status: 0xc0370107 | 0 }).type, 'ForcedExit');
    assert.equal(read({ Status: 0xc0370106 | 0 }).type, 'UnexpectedExit');
    assert.equal(read({ Status: 0x8badf00d | 0 }).type, 'UnexpectedExit');
  });

  test('that cannot be read is still an exit', () => {
    const unknown = { type: 'Unknown', reason: 'the Host Compute Service does not say how' };
    for (const data of [null, '', 'no JSON {', 'null', '7', '{}', '{"ExitType":"None"}', '{"ExitType":7}'])
      assert.deepEqual(readExitDocument(data), unknown, String(data));
    for (const data of ['{"Attribution":"no"}', '{"Attribution":[null,7,{"WorkerExit":null}]}'])
      assert.deepEqual(readExitDocument(data), unknown, data);
  });
});
