import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HcsError } from '@hcsshim/schema';
import { DllCallError, OperationTimeoutError } from '@hcsshim/windows';
import { createWindowsComputeService } from './index.ts';
import { serviceError } from './service-error.ts';

const action = 'Cannot start compute system "x"';

function failed(status: number, document: string | null = null): HcsError {
  const call = { dll: 'computecore.dll', procedure: 'HcsStartComputeSystem', kind: 'HRESULT' as const };
  const cause = new DllCallError({ ...call, status, document });
  const error = serviceError(action, cause);
  assert.equal(error.cause, cause);
  return error;
}

describe('an error of the Host Compute Service', () => {
  test('has the name of its code, in either spelling, and says what that means', () => {
    for (const status of [0x80370105, 0xc0370105, 0xc0370105 | 0]) {
      const error = failed(status);
      assert.equal(error.code, 'HCS_E_INVALID_STATE');
      assert.equal(
        error.message,
        'Cannot start compute system "x": the requested virtual machine or container operation is not valid in the current state, HCS_E_INVALID_STATE (0x80370105)',
      );
    }
    assert.equal(failed(0x80070490).code, 'ERROR_NOT_FOUND');
  });

  test("has the service's words where there are any, each once", () => {
    const document = {
      Error: 0x80070005 | 0,
      ErrorMessage: 'Access is denied.',
      ErrorEvents: [
        { Message: 'Access is denied.' },
        { Message: "The disk 'C:\\a.vhdx' cannot be opened.", EventId: 12 },
        { EventId: 13 },
        null,
      ],
    };
    assert.equal(
      failed(0x80070005, JSON.stringify(document)).problem,
      "Access is denied; The disk 'C:\\a.vhdx' cannot be opened",
    );
  });

  test('with a document that says nothing, or is none, still says what its code means', () => {
    for (const document of [
      '',
      'no JSON {',
      'null',
      '[]',
      '7',
      '{"ErrorMessage":7,"ErrorEvents":"no"}',
      '{}',
    ])
      assert.equal(
        failed(0x80070490, document).problem,
        'the object does not exist, or the process has exited already',
        document,
      );
  });

  test('with a code without a name is E_FAIL, and has the number in its words', () => {
    const error = failed(0x8badf00d);
    assert.equal(error.code, 'E_FAIL');
    assert.match(
      error.problem,
      /^the Host Compute Service answered with 0x8BADF00D, which has no name here$/,
    );
    assert.match(failed(0x8badf00d, '{"ErrorMessage":"It broke."}').problem, /^It broke; .*0x8BADF00D/);
  });
});

test('what else a call throws has a code too', () => {
  const code = (error: unknown): string => serviceError(action, error).code;
  assert.equal(code(new OperationTimeoutError('start', 1500)), 'HCS_E_OPERATION_TIMEOUT');
  assert.equal(code(new TypeError('Cannot call "X": "id" is a string with a NUL')), 'E_INVALIDARG');
  assert.equal(code(new Error('Cannot use what "X" gave')), 'E_UNEXPECTED');
  assert.equal(code('odd'), 'E_UNEXPECTED');
});

test('an HcsError keeps its code and words, and gets the action of the call', () => {
  const refused = new HcsError({
    action: 'Cannot use the document',
    problem: 'it is odd',
    code: 'HCS_E_INVALID_JSON',
  });
  const error = serviceError(action, refused);
  assert.equal(error.message, `${action}: it is odd, HCS_E_INVALID_JSON (0x8037010D)`);
  assert.equal(error.cause, refused);
  assert.equal(serviceError(action, error), error);
});

test('where there is no Windows, calls say so', { skip: process.platform === 'win32' }, async () => {
  const compute = createWindowsComputeService();
  await assert.rejects(compute.open('x'), {
    code: 'ERROR_PROC_NOT_FOUND',
    message: /^Cannot open compute system "x": cannot call "Hcs.*this is linux, it needs Windows build 17763/,
  });
});
