import { bind } from './bind.ts';
import { DllCallError } from './dll-call-error.ts';
import { advapi32 } from './dlls/advapi32.ts';
import { kernel32 } from './dlls/kernel32.ts';
import type { Handle } from './procedure.ts';
import { attempt } from './windows-error.ts';

/** What `GetCurrentProcess` gives. */
const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;
/** `TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES` (winnt.h). */
const tokenAccess = 0x8 | 0x20;
const enabled = 0x2;
const allNecessary = 1;
/** ERROR_PRIVILEGE_NOT_HELD */
const notHeld = 1314;

/** Who needs a privilege now, and whether this process enabled it for them. */
const holds = new Map<string, { holders: number; undo: boolean }>();

/**
 * Enables privileges of this process that its user has, `SeBackupPrivilege` for example, until the result is disposed of; what was
 * enabled before, or is needed by somebody else, stays. They count for all threads: whatever this process does meanwhile,
 * it does with them. Throws a WindowsError for one that the user does not have.
 */
export function holdPrivileges(names: readonly string[]): Disposable {
  using held = new DisposableStack();
  for (const name of names) {
    const hold = holds.get(name) ?? { holders: 0, undo: setPrivilege(name, true) };
    hold.holders++;
    holds.set(name, hold);
    held.defer(() => {
      hold.holders--;
      if (hold.holders > 0) return;
      holds.delete(name);
      if (hold.undo) setPrivilege(name, false);
    });
  }
  return held.move();
}

/** Gives whether that changed anything. */
function setPrivilege(name: string, enable: boolean): boolean {
  const { OpenProcessToken, LookupPrivilegeValueW, AdjustTokenPrivileges, PrivilegeCheck } = bind(advapi32);
  return attempt(`${enable ? 'enable' : 'disable'} privilege "${name}" of this process`, () => {
    const { luid } = LookupPrivilegeValueW({ name });
    const { token } = OpenProcessToken({ process: currentProcess, desiredAccess: tokenAccess });
    using _ = { [Symbol.dispose]: () => void bind(kernel32).CloseHandle({ object: token }) };
    const newState = tokenPrivileges(luid, enable ? enabled : 0);
    const previousState = Buffer.alloc(newState.length);
    AdjustTokenPrivileges({
      token,
      disableAll: false,
      newState,
      bufferLength: previousState.length,
      previousState,
    });
    // The call succeeds without having enabled anything where the token lacks the privilege.
    if (enable && !PrivilegeCheck({ token, requiredPrivileges: privilegeSet(luid) }).result) {
      const procedure = 'AdjustTokenPrivileges';
      throw new DllCallError({ dll: advapi32.file, procedure, kind: 'WIN32_ERROR', status: notHeld });
    }
    return previousState.readUInt32LE(0) > 0;
  });
}

/** `TOKEN_PRIVILEGES` with one entry (winnt.h): their number, then the privilege's number and what it is to be. */
function tokenPrivileges(luid: bigint, attributes: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(1, 0);
  bytes.writeBigUInt64LE(luid, 4);
  bytes.writeUInt32LE(attributes, 12);
  return bytes;
}

/** `PRIVILEGE_SET` with one entry: their number, whether all are needed, then an entry as above. */
function privilegeSet(luid: bigint): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(1, 0);
  bytes.writeUInt32LE(allNecessary, 4);
  bytes.writeBigUInt64LE(luid, 8);
  return bytes;
}
