import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { advapi32 } from './dlls/advapi32.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { holdPrivileges } from './privileges.ts';
import type { Handle } from './procedure.ts';
import { replaceProcedures } from './replaced-procedures.fixture.ts';

const numbers = new Map([
  ['SeBackupPrivilege', 17n],
  ['SeRestorePrivilege', 18n],
  ['SeTcbPrivilege', 7n],
]);

/** A token that has some privileges, and some of these enabled. */
function token(held: readonly bigint[], enabled: Set<bigint>): Disposable & { handles: Set<bigint> } {
  const handles = new Set<bigint>();
  const stack = new DisposableStack();
  stack.use(
    replaceProcedures(advapi32, {
      LookupPrivilegeValueW: ({ name }) => ({ luid: numbers.get(name) as bigint }),
      OpenProcessToken: () => {
        const handle = BigInt(handles.size + 4) as Handle<'HANDLE'>;
        handles.add(handle);
        return { token: handle };
      },
      AdjustTokenPrivileges: ({ newState, previousState }) => {
        const luid = (newState as Buffer).readBigUInt64LE(4);
        const enable = (newState as Buffer).readUInt32LE(12) === 2;
        const changes = held.includes(luid) && enabled.has(luid) !== enable;
        if (changes && enable) enabled.add(luid);
        else if (changes) enabled.delete(luid);
        (previousState as Buffer).writeUInt32LE(changes ? 1 : 0, 0);
        return { returnLength: 16 };
      },
      PrivilegeCheck: ({ requiredPrivileges }) => ({
        result: enabled.has((requiredPrivileges as Buffer).readBigUInt64LE(8)),
      }),
    }),
  );
  stack.use(
    replaceProcedures(kernel32, {
      CloseHandle: ({ object }) => {
        assert.ok(handles.delete(object));
        return undefined;
      },
      FormatMessageW: () => 0,
    }),
  );
  return Object.assign(stack, { handles });
}

describe('privileges', () => {
  test('are enabled while somebody holds them', () => {
    const enabled = new Set<bigint>();
    using held = token([17n, 18n], enabled);
    const first = holdPrivileges(['SeBackupPrivilege']);
    const second = holdPrivileges(['SeBackupPrivilege', 'SeRestorePrivilege']);
    assert.deepEqual([...enabled], [17n, 18n]);
    first[Symbol.dispose]();
    assert.deepEqual([...enabled], [17n, 18n]);
    second[Symbol.dispose]();
    second[Symbol.dispose]();
    assert.deepEqual([...enabled], []);
    assert.equal(held.handles.size, 0);
  });

  test('that were enabled before stay so', () => {
    const enabled = new Set([17n]);
    using _ = token([17n], enabled);
    holdPrivileges(['SeBackupPrivilege'])[Symbol.dispose]();
    assert.deepEqual([...enabled], [17n]);
  });

  test('that the user does not have are told, and none of the others is kept', () => {
    const enabled = new Set<bigint>();
    using held = token([17n], enabled);
    assert.throws(() => holdPrivileges(['SeBackupPrivilege', 'SeTcbPrivilege']), {
      name: 'WindowsError',
      hresult: 0x80070522,
      message:
        'Cannot enable privilege "SeTcbPrivilege" of this process: AdjustTokenPrivileges failed with WIN32_ERROR 0x00000522',
    });
    assert.deepEqual([...enabled], []);
    assert.equal(held.handles.size, 0);
  });
});
