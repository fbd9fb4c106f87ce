import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HResultName } from '@hcsshim/schema';
import { lastError, runtimeError } from './runtime-log.ts';

const line = (level: string, msg: string): string => `${JSON.stringify({ msg, level, time: 'now' })}\n`;

test('what crun 1.8 and runc 1.1 say gets the code that it means', () => {
  const cases: [string, HResultName][] = [
    ['executable file `x` not found in $PATH: No such file or directory', 'ERROR_FILE_NOT_FOUND'],
    [
      'exec failed: unable to start container process: exec: "x": executable file not found in $PATH',
      'ERROR_FILE_NOT_FOUND',
    ],
    ['error opening file `/run/r/x/status`: No such file or directory', 'HCS_E_SYSTEM_NOT_FOUND'],
    ['container does not exist', 'HCS_E_SYSTEM_NOT_FOUND'],
    ['container with given ID already exists', 'HCS_E_SYSTEM_ALREADY_EXISTS'],
    ['the container `x` is not running', 'HCS_E_SYSTEM_ALREADY_STOPPED'],
    ['open executable: Permission denied', 'E_ACCESSDENIED'],
    ['something else', 'E_FAIL'],
  ];
  for (const [message, code] of cases) {
    const error = runtimeError('Cannot start container "x"', line('error', message), 'ended with code 1');
    assert.equal(error.code, code, message);
    assert.ok(error.message.startsWith(`Cannot start container "x": ${message.replaceAll('`', '"')}`));
  }
});

test('the last error counts, warnings and cut lines do not', () => {
  const log = `${line('error', 'first')}${line('error', 'last')}${line('warning', 'mind')}{"msg":"cu`;
  assert.equal(lastError(log), 'last');
  assert.equal(lastError(''), undefined);
});

test('a runtime that says nothing is said to have said nothing', () => {
  assert.match(
    runtimeError('Cannot x', '', 'was ended by SIGKILL').message,
    /^Cannot x: the OCI runtime was ended by SIGKILL and gave no reason/,
  );
});
