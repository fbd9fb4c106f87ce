import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  bind,
  computestorage,
  DllCallError,
  dlls,
  type Handle,
  iphlpapi,
  kernel32,
  MissingProcedureError,
  ntdll,
  OwnedHandle,
  windowsBuild,
} from '@hcsshim/windows';

const fileNotFound = 2;
const zeroInit = 0x40;

describe('calls into the DLLs of Windows', () => {
  test('numbers and flags go in and come out', async () => {
    const { GetActiveProcessorCount, GetDiskFreeSpaceExW } = bind(kernel32);
    assert.ok(GetActiveProcessorCount({ groupNumber: 0 }) >= 1);
    const space = await GetDiskFreeSpaceExW({ directoryName: 'C:\\' });
    assert.ok(space.totalBytes > 0n && space.freeBytes <= space.totalBytes);
  });

  test('text goes in as UTF-16, and a buffer comes back with what the DLL wrote', async () => {
    const buffer = Buffer.alloc(520);
    const length = await bind(kernel32).SearchPathW({
      path: 'C:\\windows\\system32',
      fileName: 'kernel32',
      extension: '.dll',
      bufferLength: 260,
      buffer,
      filePart: null,
    });
    assert.match(buffer.toString('utf16le', 0, 2 * length), /kernel32\.dll$/i);
  });

  test("a failure of a BOOL tells the thread's last error, on the main thread and on the pool", async () => {
    const missing = { existingFileName: 'C:\\no such file é', newFileName: 'C:\\copy', failIfExists: true };
    await assert.rejects(bind(kernel32).CopyFileW(missing), (error) => {
      assert.ok(error instanceof DllCallError);
      assert.equal(error.status, fileNotFound);
      assert.equal(error.hresult, 0x80070002);
      assert.equal(
        error.message,
        'Cannot complete "CopyFileW" of "kernel32.dll": it failed with WIN32_ERROR 0x00000002',
      );
      return true;
    });
    assert.throws(
      () => bind(kernel32).OpenJobObjectW({ desiredAccess: 4, inheritHandle: false, name: 'no such job' }),
      { status: fileNotFound, kind: 'WIN32_ERROR' },
    );
  });

  test('a failed NTSTATUS is an error with its HRESULT', () => {
    const notImplemented = { informationClass: 999, information: Buffer.alloc(8), length: 8 };
    const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;
    assert.throws(
      () => bind(ntdll).NtQueryInformationProcess({ process: currentProcess, ...notImplemented }),
      {
        kind: 'NTSTATUS',
        status: 0xc0000003,
        hresult: 0xd0000003,
      },
    );
    assert.equal(bind(ntdll).RtlNtStatusToDosError({ status: 0xc0000034 }), fileNotFound);
  });

  test('a job object is made, asked about and closed once', async () => {
    const attributes = Buffer.alloc(48);
    attributes.writeUInt32LE(48);
    const { job } = bind(ntdll).NtCreateJobObject({ desiredAccess: 0x1f001f, objectAttributes: attributes });
    const owned = new OwnedHandle('HANDLE', job, (object) => bind(kernel32).CloseHandle({ object }));
    const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;
    const { result } = await owned.use((handle) =>
      bind(kernel32).IsProcessInJob({ process: currentProcess, job: handle }),
    );
    assert.equal(result, false);
    await Promise.all([owned.close(), owned.close()]);
    assert.equal(owned.state, 'closed');
    await assert.rejects(
      owned.use(() => {}),
      /Cannot use a handle "HANDLE" that is closed/,
    );
    assert.throws(() => bind(kernel32).CloseHandle({ object: job }), { status: 6 });
  });

  test('memory of the DLL is allocated and freed', () => {
    const { LocalAlloc, LocalFree } = bind(kernel32);
    const memory = LocalAlloc({ flags: zeroInit, bytes: 64n });
    assert.notEqual(memory, 0n);
    assert.equal(LocalFree({ memory }), 0n);
  });

  test('a value that does not fit is refused before the call, with the names of both', async () => {
    const { CopyFileW, GetActiveProcessorCount } = bind(kernel32);
    assert.throws(() => GetActiveProcessorCount({ groupNumber: 70_000 }), {
      name: 'TypeError',
      message:
        'Cannot call "GetActiveProcessorCount": "groupNumber" is not an integer from 0 to 65535 but 70000',
    });
    await assert.rejects(
      CopyFileW({ existingFileName: 'C:\\a\0b', newFileName: 'x', failIfExists: true }),
      /"existingFileName" is a string with a NUL character in it/,
    );
  });

  test('a DLL that is missing is told with the build that has it', async () => {
    assert.equal(windowsBuild(), 18362);
    const absent = bind({ ...computestorage, file: 'absent.dll' });
    assert.throws(
      () => absent.HcsDestroyLayer,
      (error) => {
        assert.ok(error instanceof MissingProcedureError);
        assert.equal(error.code, 'ERR_MISSING_PROCEDURE');
        assert.equal(
          error.message,
          'Cannot call "HcsDestroyLayer" of "absent.dll": the DLL cannot be loaded, although Windows build 18362 should have it, turn on the Windows feature that it belongs to',
        );
        return true;
      },
    );
    assert.throws(() => absent.HcsAttachOverlayFilter, {
      message:
        'Cannot call "HcsAttachOverlayFilter" of "absent.dll": the DLL cannot be loaded, it needs Windows build 20348 or newer and this is build 18362',
    });
  });

  test('a procedure that is missing is told too', () => {
    assert.throws(() => bind(iphlpapi).SetJobCompartmentId, {
      message: /^Cannot call "SetJobCompartmentId" of "iphlpapi\.dll": the DLL has no such procedure, /,
    });
  });

  test('hundreds of calls at once all end', async () => {
    const { GetDiskFreeSpaceExW } = bind(kernel32);
    const spaces = await Promise.all(
      Array.from({ length: 500 }, () => GetDiskFreeSpaceExW({ directoryName: 'C:\\' })),
    );
    assert.equal(new Set(spaces.map(({ totalBytes }) => totalBytes)).size, 1);
  });

  test('the DLLs that Wine has lack five procedures of the tables', () => {
    const absent: string[] = [];
    for (const dll of dlls) {
      const functions = bind(dll) as Record<string, unknown>;
      for (const name of Object.keys(dll.procedures)) {
        try {
          assert.equal(typeof functions[name], 'function');
        } catch (error) {
          assert.ok(error instanceof MissingProcedureError);
          absent.push(`${dll.file} ${name}`);
        }
      }
    }
    const own = ['kernel32', 'ntdll', 'advapi32', 'netapi32', 'cfgmgr32', 'iphlpapi', 'api-ms-win-core-com'];
    assert.deepEqual(
      absent.filter((one) => own.some((dll) => one.startsWith(dll))),
      [
        'kernel32.dll QueryIoRateControlInformationJobObject',
        'kernel32.dll SetIoRateControlInformationJobObject',
        'kernel32.dll FreeMemoryJobObject',
        'iphlpapi.dll SetJobCompartmentId',
        'iphlpapi.dll SetCurrentThreadCompartmentId',
      ],
    );
  });
});
