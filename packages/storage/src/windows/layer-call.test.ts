import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HcsError, isHcsError } from '@hcsshim/schema';
import { DllCallError, WindowsError } from '@hcsshim/windows';
import { absolutePath, layerCall } from './layer-call.ts';

const action = 'import layer "C:\\layer"';

function failing(error: unknown): Promise<unknown> {
  return layerCall(action, {}, () => Promise.reject(error)).then(
    () => assert.fail('it did not fail'),
    (told: unknown) => told,
  );
}

function dllError(status: number): DllCallError {
  return new DllCallError({
    dll: 'computestorage.dll',
    procedure: 'HcsImportLayer',
    kind: 'HRESULT',
    status,
  });
}

describe('a call about a layer', () => {
  test('that fails tells the layer, the procedure and what the code means, and keeps the cause', async () => {
    const cause = dllError(0x80070003);
    const error = await failing(cause);
    assert.ok(isHcsError(error, 'ERROR_PATH_NOT_FOUND'));
    assert.equal(error.cause, cause);
    assert.equal(
      error.message,
      'Cannot import layer "C:\\layer": HcsImportLayer failed, a directory on the way to a file does not exist, ERROR_PATH_NOT_FOUND (0x80070003)',
    );
  });

  test('that fails with a code without a name is E_FAIL, with the number in words', async () => {
    const error = await failing(dllError(0xc03a0001));
    assert.ok(isHcsError(error, 'E_FAIL'));
    assert.match(error.message, /: HcsImportLayer failed with 0xC03A0001, which has no name here, E_FAIL/);
  });

  test('that fails in a step tells the step too', async () => {
    const step = new HcsError({
      action: 'Cannot open disk "d"',
      problem: 'it is gone',
      code: 'ERROR_FILE_NOT_FOUND',
    });
    const error = await failing(step);
    assert.ok(isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
    assert.equal(error.action, 'Cannot import layer "C:\\layer"');
    assert.equal(error.problem, 'cannot open disk "d": it is gone');
  });

  test('that fails for a file or for a value has a code that says so', async () => {
    const missing = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    assert.ok(isHcsError(await failing(missing), 'ERROR_FILE_NOT_FOUND'));
    assert.ok(isHcsError(await failing(new TypeError('Cannot call "X": "a" is no string')), 'E_INVALIDARG'));
    assert.ok(isHcsError(await failing('odd'), 'E_UNEXPECTED'));
    assert.ok(isHcsError(await failing(null), 'E_UNEXPECTED'));
  });

  test('that a native call fails has the name that other calls give it', async () => {
    const names: [number, Parameters<typeof isHcsError>[1]][] = [
      [0xc0000034, 'ERROR_FILE_NOT_FOUND'],
      [0xc000003a, 'ERROR_PATH_NOT_FOUND'],
      [0xc0000035, 'ERROR_ALREADY_EXISTS'],
      [0xc0000022, 'E_ACCESSDENIED'],
      [0xc0000101, 'ERROR_DIR_NOT_EMPTY'],
      [0xc000050b, 'STATUS_REPARSE_POINT_ENCOUNTERED'],
    ];
    for (const [status, name] of names) {
      const native = { dll: 'ntdll.dll', procedure: 'NtCreateFile', kind: 'NTSTATUS', status } as const;
      assert.ok(isHcsError(await failing(new DllCallError(native)), name), name);
    }
  });

  test('that fails as something on the host tells what that was', async () => {
    const cause = new DllCallError({
      dll: 'cfgmgr32.dll',
      procedure: 'CM_Locate_DevNodeW',
      kind: 'CONFIGRET',
      status: 0x33,
    });
    const error = await failing(new WindowsError('find device "d"', cause));
    assert.ok(isHcsError(error, 'E_FAIL'));
    assert.match(
      error.message,
      /: cannot find device "d": CM_Locate_DevNodeW failed .*access is denied, E_FAIL/,
    );
  });

  test('ends by its deadline, and work is told', async () => {
    let deadline: AbortSignal | undefined;
    const work = (signal: AbortSignal): Promise<never> => {
      deadline = signal;
      return new Promise(() => {});
    };
    await assert.rejects(layerCall(action, { timeout: 5 }, work), { code: 'HCS_E_OPERATION_TIMEOUT' });
    assert.equal(deadline?.aborted, true);
  });

  test('ends by its signal, with that reason, and is not begun after it', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const given = layerCall(action, { signal: controller.signal }, () => new Promise(() => {}));
    controller.abort(reason);
    await assert.rejects(given, reason);
    await assert.rejects(
      layerCall(action, { signal: controller.signal }, () => assert.fail('begun')),
      reason,
    );
  });
});

describe('a path of Windows', () => {
  test('is one of a drive, of a share, or of a volume', () => {
    for (const path of ['C:\\a', 'c:/a', '\\\\server\\share\\a', '\\\\?\\Volume{1}\\', '\\\\.\\pipe\\a'])
      assert.equal(absolutePath(path, 'layer'), path);
  });

  test('is none when it depends on where one is, or ends early', () => {
    for (const path of ['', 'a', 'C:', 'C:a', '\\a', '/a', '..\\a', 'C:\\a\0b', 7 as unknown as string])
      assert.throws(() => absolutePath(path, 'layer'), { code: 'E_INVALIDARG' }, String(path));
  });
});
