import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exitOfStatus, readProcessStatus } from './process-status.ts';

describe('the status of a process', () => {
  test('tells its exit code, all 32 bits of it', () => {
    assert.deepEqual(exitOfStatus({ ProcessId: 7, Exited: true, ExitCode: 3, LastWaitResult: 0 }), {
      exitCode: 3,
    });
    assert.deepEqual(exitOfStatus({ ExitCode: 0xc000013a }), { exitCode: 0xc000013a });
    assert.deepEqual(exitOfStatus({ ExitCode: 0xc000013a | 0 }), { exitCode: 0xc000013a });
  });

  test('has no exit code when the wait for the end failed', () => {
    assert.deepEqual(exitOfStatus({ Exited: true, ExitCode: 0, LastWaitResult: 0x80370109 | 0 }), {
      exitCode: -1,
      reason: 'the wait for its end failed with HCS_E_CONNECTION_TIMEOUT (0x80370109)',
    });
    assert.equal(exitOfStatus({ Exited: true })?.exitCode, -1);
  });

  test('of a process that runs tells no exit', () => {
    assert.equal(exitOfStatus({ ProcessId: 7, Exited: false, ExitCode: 0 }), undefined);
    assert.equal(exitOfStatus({ ProcessId: 7 }), undefined);
  });

  test('that cannot be read says nothing', () => {
    for (const data of [null, '', 'no JSON {', 'null', '7', '[]', '{"ExitCode":"3"}'])
      assert.equal(exitOfStatus(readProcessStatus(data)), undefined, String(data));
  });
});
