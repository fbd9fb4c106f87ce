import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  describeHresult,
  HcsError,
  HResult,
  type HResultName,
  hresultFromWin32,
  hresultName,
} from './hresult.ts';
import { explainResult, resultMeanings } from './hresult-meanings.ts';

const spellings: [code: number, name: HResultName][] = [
  [0x80370105, 'HCS_E_INVALID_STATE'],
  [0xc0370105, 'HCS_E_INVALID_STATE'],
  [0xc0370105 | 0, 'HCS_E_INVALID_STATE'],
  [0xd0370105, 'HCS_E_INVALID_STATE'],
  [0xc0370103, 'ERROR_VMCOMPUTE_OPERATION_PENDING'],
  [0x80370103, 'ERROR_VMCOMPUTE_OPERATION_PENDING'],
  [0x8037011f, 'HCS_E_PROCESS_ALREADY_STOPPED'],
  [-2147023728, 'ERROR_NOT_FOUND'],
  [hresultFromWin32(0x490), 'ERROR_NOT_FOUND'],
  [hresultFromWin32(5), 'E_ACCESSDENIED'],
  [hresultFromWin32(0x7f), 'ERROR_PROC_NOT_FOUND'],
  [hresultFromWin32(10022), 'WSAEINVAL'],
  [0xc0000004, 'STATUS_INFO_LENGTH_MISMATCH'],
  [0xd0000004, 'STATUS_INFO_LENGTH_MISMATCH'],
  [0x803b0013, 'HCN_E_PORT_ALREADY_EXISTS'],
  [0, 'S_OK'],
];

for (const [code, name] of spellings) {
  test(`0x${(code >>> 0).toString(16)} is ${name}`, () => assert.equal(hresultName(code), name));
}

test('a code that nobody knows has no name, and is shown as a number', () => {
  assert.equal(hresultName(0x80371234), undefined);
  assert.equal(describeHresult(0x80371234 | 0), '0x80371234');
  assert.equal(hresultName(0xc03b0013), undefined);
});

test('what is an HRESULT stays one when it is taken for a Win32 code', () => {
  assert.equal(hresultFromWin32(0xc0370105 | 0), 0xc0370105);
  assert.equal(hresultFromWin32(0), 0);
});

test('no two names share a code, whatever its spelling', () => {
  for (const [name, code] of Object.entries(HResult)) assert.equal(hresultName(code), name);
});

test('each code has a meaning; meanings and advice read as parts of a sentence', () => {
  for (const name of Object.keys(HResult) as HResultName[]) {
    const { meaning, advice } = resultMeanings[name];
    for (const text of advice === undefined ? [meaning] : [meaning, advice])
      assert.match(text, /^[A-Z].*[^.\s]$/, name);
  }
});

test('a code is explained in both spellings, with what to do', () => {
  assert.deepEqual(explainResult(0xc0370102), {
    name: 'HCS_E_HYPERV_NOT_INSTALLED',
    hresult: 0x80370102,
    ntStatus: 0xc0370102,
    ...resultMeanings.HCS_E_HYPERV_NOT_INSTALLED,
  });
  assert.match(explainResult('HCS_E_HYPERV_NOT_INSTALLED')?.advice ?? '', /Hyper-V/);
  assert.equal(explainResult('ERROR_NOT_FOUND')?.ntStatus, undefined);
  assert.equal(explainResult(0x12345678), undefined);
});

test('an error carries the name, the number and both halves of its message', () => {
  const error = new HcsError({
    action: 'Cannot open "x"',
    problem: 'it is gone',
    code: 'HCS_E_SYSTEM_NOT_FOUND',
  });
  assert.equal(error.message, 'Cannot open "x": it is gone, HCS_E_SYSTEM_NOT_FOUND (0x8037010E)');
  assert.equal(error.hresult, 0x8037010e);
});
