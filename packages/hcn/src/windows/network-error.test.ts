import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HcsError } from '@hcsshim/schema';
import { DllCallError, MissingProcedureError } from '@hcsshim/windows';
import { networkError, readErrorRecord } from './network-error.ts';

function failed(status: number, document: string | null = null): DllCallError {
  return new DllCallError({
    dll: 'computenetwork.dll',
    procedure: 'HcnOpenNetwork',
    kind: 'HRESULT',
    status,
    document,
  });
}

const action = 'Cannot open network "x"';

describe('errors of the Host Compute Network', () => {
  test("have the code's name and the service's words", () => {
    const record = '{"Success":false,"Error":"The network was not found. ","ErrorCode":2151350273}';
    const error = networkError(action, failed(0x803b0001 | 0, record));
    assert.equal(error.code, 'HCN_E_NETWORK_NOT_FOUND');
    assert.equal(
      error.message,
      'Cannot open network "x": The network was not found, HCN_E_NETWORK_NOT_FOUND (0x803B0001)',
    );
    assert.ok(error.cause instanceof DllCallError);
  });

  test('say what the code means where the service says nothing that can be read', () => {
    for (const record of [null, '', 'no JSON {', '[]', '7', '{"Error":5,"ErrorCode":"x"}', '{"Error":" "}']) {
      const error = networkError(action, failed(0x803b0001, record));
      assert.equal(error.problem, 'the network was not found', String(record));
    }
  });

  test("take the record's code for a general one", () => {
    const record = '{"Success":false,"Error":"Taken.","ErrorCode":2151350288}';
    assert.equal(networkError(action, failed(0x80004005, record)).code, 'HCN_E_NETWORK_ALREADY_EXISTS');
    assert.equal(networkError(action, failed(0x80070005, record)).code, 'E_ACCESSDENIED');
  });

  test('tell the number of a code without a name', () => {
    const error = networkError(action, failed(0x8badf00d, '{"Error":"Odd."}'));
    assert.equal(error.code, 'E_FAIL');
    assert.equal(
      error.problem,
      'Odd; the Host Network Service answered with 0x8BADF00D, which has no name here',
    );
  });

  test('cut words short that are as long as a document', () => {
    const { words } = readErrorRecord(JSON.stringify({ Error: 'x'.repeat(1_000_000) }));
    assert.equal(words?.length, 1024);
  });

  test('are made of what is thrown before the call, too', () => {
    const missing = new MissingProcedureError({
      dll: 'computenetwork.dll',
      procedure: 'HcnOpenNetwork',
      build: 17763,
      missing: 'dll',
    });
    assert.equal(networkError(action, missing).code, 'ERROR_PROC_NOT_FOUND');
    assert.equal(networkError(action, new TypeError('Cannot use "x" as a GUID')).code, 'E_INVALIDARG');
    assert.equal(networkError(action, 'odd').code, 'E_UNEXPECTED');
    const own = new HcsError({ action: 'Cannot check', problem: 'wrong', code: 'HCS_E_INVALID_JSON' });
    assert.equal(networkError(action, own).message.startsWith(`${action}: wrong`), true);
    assert.equal(networkError('Cannot check', own), own);
  });
});
