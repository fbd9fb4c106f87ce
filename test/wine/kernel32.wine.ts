import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  bind,
  com,
  type Dll,
  type Handle,
  iphlpapi,
  kernel32,
  node,
  ntdll,
  OwnedHandle,
  readMemory,
  setPointer,
  wideString,
} from '@hcsshim/windows';
import { currentProcess, objectAttributes } from './native-structures.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

/** Of kernel32 too; only tests want them. */
const threads = bind({
  file: 'kernel32.dll',
  build: 7600,
  source: "Microsoft's libloaderapi.h, processthreadsapi.h and synchapi.h",
  procedures: {
    GetModuleHandleW: {
      returns: 'ADDRESS',
      parameters: { name: 'PCWSTR' },
      immediate: true,
      purpose: 'A DLL',
    },
    GetProcAddress: {
      returns: 'ADDRESS',
      parameters: { module: 'ADDRESS', name: 'PCSTR' },
      immediate: true,
      purpose: 'A procedure',
    },
    WaitForSingleObject: { returns: 'DWORD', parameters: { object: 'HANDLE', ms: 'DWORD' }, purpose: 'Wait' },
    GetExitCodeThread: {
      returns: 'BOOL',
      parameters: { thread: 'HANDLE', code: 'out DWORD' },
      immediate: true,
      purpose: 'Exit code',
    },
  },
} as const satisfies Dll);

const root = mkdtempSync(join(tmpdir(), 'kernel32-'));
after(() => rmSync(root, { recursive: true }));

const close = (object: Handle<'HANDLE'>) => bind(kernel32).CloseHandle({ object });

function pipe(): { read: OwnedHandle<'HANDLE'>; write: OwnedHandle<'HANDLE'> } & AsyncDisposable {
  const { readPipe, writePipe } = bind(kernel32).CreatePipe({ attributes: null, size: 0 });
  const read = new OwnedHandle('HANDLE', readPipe, close);
  const write = new OwnedHandle('HANDLE', writePipe, close);
  return {
    read,
    write,
    async [Symbol.asyncDispose]() {
      await Promise.all([read.close(), write.close()]);
    },
  };
}

function createJob(name?: string): OwnedHandle<'HANDLE'> {
  const { job } = bind(ntdll).NtCreateJobObject({
    desiredAccess: 0x1f003f,
    objectAttributes: objectAttributes(name),
  });
  return new OwnedHandle('HANDLE', job, close);
}

const invalidHandle = { kind: 'WIN32_ERROR', status: 6 };
const notAHandle = 0x7ffffff0n as Handle<'HANDLE'>;

describe('kernel32.dll', () => {
  test('allocates and frees memory, and gives the address back that it cannot free', () => {
    const { LocalAlloc, LocalFree } = bind(kernel32);
    const memory = LocalAlloc({ flags: 0x40, bytes: 64n });
    assert.deepEqual(readMemory(memory, 64), Buffer.alloc(64));
    assert.equal(LocalFree({ memory }), 0n);
    assert.equal(LocalFree({ memory: 0x10n }), 0x10n);
  });

  test('makes a pipe whose ends are closed once', () => {
    const { CreatePipe, CloseHandle } = bind(kernel32);
    const { readPipe, writePipe } = CreatePipe({ attributes: null, size: 0 });
    assert.notEqual(readPipe, writePipe);
    for (const object of [readPipe, writePipe]) CloseHandle({ object });
    assert.throws(() => CloseHandle({ object: readPipe }), invalidHandle);
  });

  test('asks a device, and tells why it does not answer', async () => {
    await using ends = pipe();
    const peek = Buffer.alloc(24);
    const ask = { input: null, inputBytes: 0, output: peek, outputBytes: peek.length, overlapped: null };
    const { bytesReturned } = await ends.read.use((device) =>
      bind(kernel32).DeviceIoControl({ device, controlCode: 0x0011400c, ...ask }),
    );
    assert.equal(bytesReturned, 16);
    // FILE_PIPE_CONNECTED_STATE, and not a byte to be read.
    assert.deepEqual([peek.readUInt32LE(0), peek.readUInt32LE(4)], [3, 0]);
    await assert.rejects(
      ends.read.use((device) => bind(kernel32).DeviceIoControl({ device, controlCode: 0x0007405c, ...ask })),
      { kind: 'WIN32_ERROR', status: 50 },
    );
  });

  test('makes a pseudo console, which Wine 8 cannot resize', async () => {
    const { CreatePseudoConsole, ResizePseudoConsole, ClosePseudoConsole } = bind(kernel32);
    await using input = pipe();
    await using output = pipe();
    const size = (25 << 16) | 80;
    const { console } = await input.read.use((from) =>
      output.write.use((to) => CreatePseudoConsole({ size, input: from, output: to, flags: 0 })),
    );
    assert.throws(() => ResizePseudoConsole({ console, size: (30 << 16) | 100 }), { hresult: 0x80004001 });
    assert.equal(await ClosePseudoConsole({ console }), undefined);
    assert.throws(() => CreatePseudoConsole({ size: 0, input: notAHandle, output: notAHandle, flags: 0 }), {
      hresult: 0x80070057,
    });
  });

  test('tells of a job what is in it', async () => {
    await using job = createJob();
    const { IsProcessInJob, QueryInformationJobObject } = bind(kernel32);
    const { result } = await job.use((handle) => IsProcessInJob({ process: currentProcess, job: handle }));
    assert.equal(result, false);
    const processIds = Buffer.alloc(64, 0xff);
    const { returnLength } = await job.use((handle) =>
      QueryInformationJobObject({ job: handle, informationClass: 3, information: processIds, length: 64 }),
    );
    assert.ok(returnLength >= 8);
    assert.deepEqual([processIds.readUInt32LE(0), processIds.readUInt32LE(4)], [0, 0]);
    assert.throws(
      () =>
        QueryInformationJobObject({
          job: notAHandle,
          informationClass: 3,
          information: processIds,
          length: 64,
        }),
      invalidHandle,
    );
  });

  test('opens a job by its name, and only by that', async () => {
    const { OpenJobObjectW } = bind(kernel32);
    const named = { desiredAccess: 4, inheritHandle: false };
    const session = await jobInThisSession('hcsshim-kernel32');
    await using _ = session;
    await using opened = new OwnedHandle(
      'HANDLE',
      OpenJobObjectW({ ...named, name: 'hcsshim-kernel32' }),
      close,
    );
    const { result } = await opened.use((job) =>
      bind(kernel32).IsProcessInJob({ process: currentProcess, job }),
    );
    assert.equal(result, false);
    assert.throws(() => OpenJobObjectW({ ...named, name: 'hcsshim-other' }), { status: 2 });
  });

  test('starts a thread in a process, which runs what it is told to', async () => {
    const startAddress = threads.GetProcAddress({
      module: threads.GetModuleHandleW({ name: 'kernel32.dll' }),
      name: 'GetCurrentThreadId',
    });
    const threadId = Buffer.alloc(4);
    const handle = bind(kernel32).CreateRemoteThread({
      process: currentProcess,
      attributes: null,
      stackSize: 0n,
      startAddress,
      flags: 0,
      threadId,
    });
    await using thread = new OwnedHandle('HANDLE', handle, close);
    assert.equal(await thread.use((object) => threads.WaitForSingleObject({ object, ms: 10_000 })), 0);
    const { code } = await thread.use((one) => threads.GetExitCodeThread({ thread: one }));
    assert.equal(code, threadId.readUInt32LE());
  });

  test('counts processors, finds programs, copies files, and knows the room on a volume', async () => {
    const { GetActiveProcessorCount, SearchPathW, CopyFileW, GetDiskFreeSpaceExW } = bind(kernel32);
    assert.ok(GetActiveProcessorCount({ groupNumber: 0 }) >= 1);
    assert.equal(GetActiveProcessorCount({ groupNumber: 77 }), 0);

    const buffer = Buffer.alloc(520);
    const search = { extension: '.exe', bufferLength: 260, buffer, filePart: null };
    const length = await SearchPathW({ fileName: 'cmd', ...search });
    assert.match(buffer.toString('utf16le', 0, 2 * length), /^C:\\windows\\.*cmd\.exe$/i);
    assert.equal(await SearchPathW({ fileName: 'no such program', ...search }), 0);

    const [source, target] = [join(root, 'source é'), join(root, 'target')];
    writeFileSync(source, 'text');
    const copy = { existingFileName: source, newFileName: target, failIfExists: true };
    await CopyFileW(copy);
    assert.equal(readFileSync(target, 'utf8'), 'text');
    await assert.rejects(CopyFileW(copy), { status: 80 });

    const space = await GetDiskFreeSpaceExW({ directoryName: root });
    assert.ok(space.totalBytes > 0n && space.freeBytes <= space.totalBytes);
    await assert.rejects(GetDiskFreeSpaceExW({ directoryName: join(root, 'none') }), { status: 2 });
  });
});

/**
 * Wine has these in none of its DLLs. They are called in a stand-in of another name, by the tables of the real ones: which proves what
 * goes in and comes out by these prototypes, and on which thread, but not that Windows has them where the tables say.
 */
describe('procedures that Wine lacks', () => {
  const job32 = bind({ ...kernel32, file: 'wine-lacks.dll' });
  const network = bind({ ...iphlpapi, file: 'wine-lacks.dll' });
  const inspect = bind({
    file: 'wine-lacks.dll',
    build: 0,
    source: 'stand-in/wine-lacks.c',
    procedures: {
      GetCurrentThreadCompartmentId: {
        returns: 'DWORD',
        parameters: {},
        immediate: true,
        purpose: 'Of the calling thread, the main one',
      },
      StandInCompartmentOfJob: {
        returns: 'DWORD',
        parameters: { job: 'HANDLE' },
        immediate: true,
        purpose: 'What was set',
      },
    },
  } as const satisfies Dll);

  /** `LONG64 MaxIops, MaxBandwidth, ReservationIops; PCWSTR VolumeName; ULONG BaseIoSize, ControlFlags` (jobapi2.h). */
  function ioRateControl(maxIops: bigint, maxBandwidth: bigint, controlFlags: number): Buffer {
    const information = Buffer.alloc(40);
    information.writeBigInt64LE(maxIops, 0);
    information.writeBigInt64LE(maxBandwidth, 8);
    setPointer(information, 24, wideString('\\Device\\HarddiskVolume2'));
    information.writeUInt32LE(4096, 32);
    information.writeUInt32LE(controlFlags, 36);
    return information;
  }

  test("limit a job's I/O, and give back what was set", async () => {
    await using owned = createJob();
    await owned.use((job) => {
      const information = ioRateControl(1000n, 5n << 20n, 1);
      job32.SetIoRateControlInformationJobObject({ job, information });
      const { information: block, count } = job32.QueryIoRateControlInformationJobObject({ job });
      assert.equal(count, 1);
      const bytes = readMemory(block, 40);
      assert.deepEqual(bytes.subarray(0, 24), information.subarray(0, 24));
      assert.deepEqual(bytes.subarray(32), information.subarray(32));
      const volume = readMemory(bytes.readBigUInt64LE(24), 46).toString('utf16le');
      assert.equal(volume, '\\Device\\HarddiskVolume2');
      job32.FreeMemoryJobObject({ memory: block });
      const other = job32.QueryIoRateControlInformationJobObject({ job, volumeName: '\\Device\\Other' });
      assert.deepEqual(other, { information: 0n, count: 0 });
    });
  });

  test("refuse limits that are none, with the thread's last error", async () => {
    await using owned = createJob();
    await owned.use((job) => {
      for (const information of [ioRateControl(-1n, 0n, 1), ioRateControl(1n, 1n, 0x100)]) {
        assert.throws(() => job32.SetIoRateControlInformationJobObject({ job, information }), { status: 87 });
      }
    });
    const information = ioRateControl(1n, 1n, 1);
    assert.throws(
      () => job32.SetIoRateControlInformationJobObject({ job: notAHandle, information }),
      invalidHandle,
    );
    assert.throws(() => job32.QueryIoRateControlInformationJobObject({ job: notAHandle }), invalidHandle);
  });

  test("set a job's network compartment", async () => {
    await using owned = createJob();
    await owned.use((job) => {
      assert.equal(inspect.StandInCompartmentOfJob({ job }), 1);
      network.SetJobCompartmentId({ job, compartmentId: 7 });
      assert.equal(inspect.StandInCompartmentOfJob({ job }), 7);
    });
    assert.throws(() => network.SetJobCompartmentId({ job: notAHandle, compartmentId: 7 }), invalidHandle);
  });

  test('put the calling thread into a network compartment, which is the main one', () => {
    network.SetCurrentThreadCompartmentId({ compartmentId: 9 });
    assert.equal(inspect.GetCurrentThreadCompartmentId({}), 9);
    network.SetCurrentThreadCompartmentId({ compartmentId: 0 });
    assert.equal(inspect.GetCurrentThreadCompartmentId({}), 1);
  });

  test('were given back all that they gave', async () => {
    await assertNothingLeakedFrom(ledgerOf('wine-lacks.dll'));
  });
});

describe('the memory of COM and the descriptors of Node', () => {
  test('a block is freed', () => {
    // Wine has both kinds of memory on the heap of the process, as Windows does.
    const memory = bind(kernel32).LocalAlloc({ flags: 0, bytes: 8n });
    assert.equal(bind(com).CoTaskMemFree({ memory }), undefined);
    assert.equal(bind(com).CoTaskMemFree({}), undefined);
  });

  test('a handle becomes a descriptor, which owns it, and what is none does not', () => {
    const { uv_open_osfhandle } = bind(node);
    const { readPipe, writePipe } = bind(kernel32).CreatePipe({ attributes: null, size: 0 });
    const fd = uv_open_osfhandle({ handle: readPipe });
    assert.ok(fd > 2);
    closeSync(fd);
    assert.throws(() => close(readPipe), invalidHandle);
    close(writePipe);
    assert.equal(uv_open_osfhandle({ handle: notAHandle }), -1);
    assert.ok(existsSync(root));
  });
});

/** Where Win32 looks for names: the session's own directory of named objects, in which Wine 8 puts the first session. */
async function jobInThisSession(name: string): Promise<OwnedHandle<'HANDLE'>> {
  return createJob(`\\Sessions\\1\\BaseNamedObjects\\${name}`);
}
