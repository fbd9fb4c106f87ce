import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HcsError, HResult, type HResultName } from './hresult.ts';
import * as predicates from './result-predicates.ts';

const { hasResult, ...questions } = predicates;

const failure = (code: HResultName, cause?: unknown): HcsError =>
  new HcsError({ action: 'Cannot', problem: 'it was told to fail', code, cause });

/** The codes for which each question is answered with yes. */
const answers: Record<keyof typeof questions, HResultName[]> = {
  isNotFound: [
    'HCS_E_SYSTEM_NOT_FOUND',
    'ERROR_NOT_FOUND',
    'HCN_E_NETWORK_NOT_FOUND',
    'HCN_E_ENDPOINT_NOT_FOUND',
  ],
  isAlreadyClosed: ['ERROR_INVALID_HANDLE'],
  isAlreadyStopped: ['HCS_E_SYSTEM_ALREADY_STOPPED', 'HCS_E_PROCESS_ALREADY_STOPPED', 'ERROR_NOT_FOUND'],
  isPending: ['HCS_E_OPERATION_PENDING', 'ERROR_VMCOMPUTE_OPERATION_PENDING'],
  isTimeout: [
    'HCS_E_OPERATION_TIMEOUT',
    'HCS_E_CONNECTION_TIMEOUT',
    'GCN_E_NETADAPTER_TIMEOUT',
    'ERROR_TIMEOUT',
    'WAIT_TIMEOUT',
  ],
  isNotSupported: [
    'ERROR_NOT_SUPPORTED',
    'ERROR_INVALID_DATA',
    'HCS_E_INVALID_JSON',
    'HCS_E_UNKNOWN_MESSAGE',
  ],
  isInvalidState: ['HCS_E_INVALID_STATE'],
  isAccessDenied: ['E_ACCESSDENIED', 'HCS_E_ACCESS_DENIED'],
  isPortAlreadyExists: ['HCN_E_PORT_ALREADY_EXISTS'],
  isNotImplemented: ['E_NOTIMPL'],
};

for (const [name, codes] of Object.entries(answers) as [keyof typeof questions, HResultName[]][]) {
  test(`${name} is true for its codes and for no other, also when they are the cause`, () => {
    for (const code of Object.keys(HResult) as HResultName[]) {
      const expected = codes.includes(code);
      assert.equal(questions[name](failure(code)), expected, code);
      assert.equal(questions[name](new Error('outer', { cause: failure(code) })), expected, code);
      assert.equal(questions[name](failure('E_FAIL', failure(code))), expected, code);
      assert.equal(questions[name](new AggregateError([new Error('other'), failure(code)])), expected, code);
    }
    for (const other of [undefined, null, 'HCS_E_INVALID_STATE', {}, new Error('E_NOTIMPL')])
      assert.equal(questions[name](other), false);
  });
}

test('a deadline of an AbortSignal and one of a socket are timeouts', async () => {
  const signal = AbortSignal.timeout(1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(predicates.isTimeout(signal.reason));
  assert.ok(
    predicates.isTimeout(new Error('outer', { cause: Object.assign(new Error('x'), { code: 'ETIMEDOUT' }) })),
  );
  assert.equal(predicates.isTimeout(AbortSignal.abort().reason), false);
});

test('hasResult finds any of several codes, and causes in a circle end', () => {
  const circle = failure('E_FAIL');
  circle.cause = new Error('back', { cause: circle });
  assert.ok(hasResult(circle, 'E_ABORT', 'E_FAIL'));
  assert.equal(hasResult(circle, 'E_ABORT'), false);
});

/**
 * Upstream's rules (`internal/hcs/errors.go`, `errors.go`): its predicates, and the errors for which each is true. In
 * our codes, as the README's table has them.
 */
const upstreamRules: [predicate: string, ours: keyof typeof questions, holdsFor: HResultName[]][] = [
  ['IsNotExist', 'isNotFound', ['HCS_E_SYSTEM_NOT_FOUND', 'ERROR_NOT_FOUND']],
  ['IsNotExist, of HNS', 'isNotFound', ['HCN_E_ENDPOINT_NOT_FOUND', 'HCN_E_NETWORK_NOT_FOUND']],
  ['IsAlreadyClosed', 'isAlreadyClosed', ['ERROR_INVALID_HANDLE']],
  ['IsPending', 'isPending', ['ERROR_VMCOMPUTE_OPERATION_PENDING']],
  ['IsTimeout', 'isTimeout', ['HCS_E_OPERATION_TIMEOUT']],
  [
    'IsAlreadyStopped',
    'isAlreadyStopped',
    ['HCS_E_SYSTEM_ALREADY_STOPPED', 'HCS_E_PROCESS_ALREADY_STOPPED', 'ERROR_NOT_FOUND'],
  ],
  [
    'IsNotSupported',
    'isNotSupported',
    ['HCS_E_INVALID_JSON', 'ERROR_INVALID_DATA', 'ERROR_NOT_SUPPORTED', 'HCS_E_UNKNOWN_MESSAGE'],
  ],
  ['IsOperationInvalidState', 'isInvalidState', ['HCS_E_INVALID_STATE']],
  ['IsAccessIsDenied', 'isAccessDenied', ['E_ACCESSDENIED']],
];

for (const [predicate, ours, holdsFor] of upstreamRules) {
  test(`${ours} is true where upstream's ${predicate} is`, () => {
    for (const code of holdsFor) assert.ok(questions[ours](failure(code)), code);
  });
}
