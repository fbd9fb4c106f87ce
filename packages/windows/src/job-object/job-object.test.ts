import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DllCallError } from '../dll-call-error.ts';
import { bindfltapi } from '../dlls/bindfltapi.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { ntdll } from '../dlls/ntdll.ts';
import { koffi } from '../koffi.ts';
import type { Handle } from '../procedure.ts';
import { replaceProcedures } from '../replaced-procedures.fixture.ts';
import { JobObject } from './job-object.ts';

/** Bytes that Windows wants for a class of information (winnt.h on x64). */
const sizes = new Map([
  [9, 144],
  [15, 8],
  [28, 16],
  [42, 72],
]);

const jobHandle = 8n as Handle<'HANDLE'>;

/** The kernel as far as one job needs it; it keeps what is set and refuses what Windows would. */
class FakeKernel implements Disposable {
  readonly information = new Map<number, Buffer>();
  readonly closed: bigint[] = [];
  readonly freed: bigint[] = [];
  readonly bindings: unknown[] = [];
  processes: number[] = [];
  isSilo = false;
  ioLimits: Buffer | undefined;
  readonly #replaced = new DisposableStack();

  constructor() {
    const refuse = (procedure: string, status: number): never => {
      throw new DllCallError({ dll: 'kernel32.dll', procedure, kind: 'WIN32_ERROR', status });
    };
    this.#replaced.use(
      replaceProcedures(kernel32, {
        FormatMessageW: () => 0,
        CreateJobObjectW: () => jobHandle,
        OpenJobObjectW: () => jobHandle,
        CloseHandle: ({ object }) => void this.closed.push(object) as undefined,
        SetInformationJobObject: ({ informationClass, information, length }) => {
          if (informationClass === 35) {
            assert.equal(information, null);
            this.isSilo = true;
          } else if (informationClass === 14) {
            assert.equal(length % 16, 0);
            this.information.set(14, Buffer.from(information as Buffer));
          } else {
            if (length !== sizes.get(informationClass)) refuse('SetInformationJobObject', 24);
            this.information.set(informationClass, Buffer.from(information as Buffer));
          }
          return undefined;
        },
        QueryInformationJobObject: ({ informationClass, information, length }) => {
          const bytes = information as Buffer;
          if (informationClass === 36) {
            if (!this.isSilo) refuse('QueryInformationJobObject', 87);
            return { returnLength: 16 };
          }
          if (informationClass === 3) {
            const listed = Math.min(this.processes.length, (length - 8) / 8);
            bytes.writeUInt32LE(this.processes.length, 0);
            bytes.writeUInt32LE(listed, 4);
            for (let at = 0; at < listed; at++)
              bytes.writeBigUInt64LE(BigInt(this.processes[at]!), 8 + 8 * at);
            if (listed < this.processes.length) refuse('QueryInformationJobObject', 234);
            return { returnLength: 8 + 8 * listed };
          }
          if (informationClass === 42 && !this.information.has(42)) refuse('QueryInformationJobObject', 87);
          const kept =
            this.information.get(informationClass) ?? Buffer.alloc(sizes.get(informationClass) ?? 0);
          kept.copy(bytes);
          return { returnLength: kept.length };
        },
        QueryIoRateControlInformationJobObject: () => {
          if (this.ioLimits === undefined) return { information: 0n, count: 0 };
          return { information: koffi().address(this.ioLimits), count: 1 };
        },
        SetIoRateControlInformationJobObject: ({ information }) => {
          this.ioLimits = Buffer.from(information as Buffer);
          return undefined;
        },
        FreeMemoryJobObject: ({ memory }) => void this.freed.push(memory) as undefined,
        OpenProcess: ({ processId }) => {
          if (processId === 13) refuse('OpenProcess', 87);
          return BigInt(1000 + processId) as Handle<'HANDLE'>;
        },
        IsProcessInJob: ({ process }) => ({ result: process !== 1014n }),
      }),
    );
    this.#replaced.use(
      replaceProcedures(ntdll, {
        NtQueryInformationProcess: ({ informationClass, information, length }) => {
          assert.deepEqual([informationClass, length], [3, 112]);
          (information as Buffer).writeBigUInt64LE(4096n, 96);
          return { returnLength: 112 };
        },
      }),
    );
    this.#replaced.use(
      replaceProcedures(bindfltapi, {
        BfSetupFilter: async (inputs) => void this.bindings.push(inputs) as undefined,
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#replaced.dispose();
  }
}

describe('a job object', () => {
  test('keeps limits of memory and processors that were set before when another is set', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create({ name: 'limits' });
    assert.equal(await job.memoryLimit(), undefined);
    assert.equal(await job.affinity(), undefined);
    await job.setLimits({ memory: 100n << 20n });
    await job.setLimits({ affinity: 0b101n });
    await job.setTerminateOnClose();
    assert.equal(await job.memoryLimit(), 104_857_600n);
    assert.equal(await job.affinity(), 5n);
    assert.equal(kernel.information.get(9)?.readUInt32LE(16), 0x2210);
  });

  test('has a CPU rate or a weight, and the one takes the place of the other', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create();
    assert.equal(await job.cpuLimit(), undefined);
    await job.setLimits({ cpu: { rate: 5000 } });
    assert.deepEqual(await job.cpuLimit(), { rate: 5000 });
    assert.equal(kernel.information.get(15)?.toString('hex'), '0500000088130000');
    await job.setLimits({ cpu: { weight: 9 } });
    assert.deepEqual(await job.cpuLimit(), { weight: 9 });
    assert.equal(kernel.information.get(15)?.toString('hex'), '0300000009000000');
  });

  test('refuses limits that no job takes, in words', async () => {
    using _ = new FakeKernel();
    await using job = await JobObject.create();
    const refused = (limits: Parameters<typeof job.setLimits>[0], message: string) =>
      assert.rejects(job.setLimits(limits), { name: 'RangeError', message });
    await refused({ cpu: { rate: 0 } }, 'Cannot use 0 as a CPU rate: it must be from 1 to 10000');
    await refused({ cpu: { weight: 10 } }, 'Cannot use 10 as a CPU weight: it must be from 1 to 9');
    await refused(
      { memory: (1n << 64n) - 1n },
      'Cannot use 18446744073709551615 as a memory limit: it must be from 1 to 18446744073709551614',
    );
    await refused({ groupAffinities: [] }, 'Cannot set group affinities: there are none, give one at least');
  });

  test('takes groups of processors in the place of an affinity', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create();
    const groupAffinities = [
      { group: 0, mask: 0xffn },
      { group: 1, mask: 1n },
    ];
    await job.setLimits({ affinity: 1n, groupAffinities });
    assert.deepEqual(await job.groupAffinities(), groupAffinities);
    assert.equal(kernel.information.has(9), false);
  });

  test('has limits of I/O, of which the one that is not given stays, and frees what it was told', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create();
    assert.equal(await job.ioLimits(), undefined);
    await job.setLimits({ io: { maxIops: 500n } });
    await job.setLimits({ io: { maxBandwidth: 1n << 20n } });
    assert.deepEqual(await job.ioLimits(), { maxIops: 500n, maxBandwidth: 1_048_576n });
    assert.equal(kernel.ioLimits?.readUInt32LE(36), 1);
    assert.equal(kernel.freed.length, 2);
  });

  test('lists as many processes as there are', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create();
    assert.deepEqual(await job.processIds(), []);
    kernel.processes = Array.from({ length: 1000 }, (_, index) => 4 * (index + 1));
    assert.deepEqual(await job.processIds(), kernel.processes);
  });

  test('adds the private working sets of the processes that are still in it', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create();
    kernel.processes = [12, 13, 14, 15];
    assert.equal(await job.privateWorkingSet(), 8192n);
    assert.deepEqual(kernel.closed, [1012n, 1014n, 1015n]);
  });

  test('counts I/O when it was asked to', async () => {
    using _ = new FakeKernel();
    await using job = await JobObject.create();
    await assert.rejects(job.storageStatistics(), {
      code: 'ERR_WINDOWS',
      message:
        'Cannot read the storage statistics of a job object without a name: QueryInformationJobObject failed with WIN32_ERROR 0x00000057',
    });
    await job.trackIo();
    assert.equal((await job.storageStatistics()).writeSize, 0n);
    await using tracked = await JobObject.create({ ioTracking: true });
    assert.equal((await tracked.storageStatistics()).controlFlags, 1);
  });

  test('becomes a silo, which ends with its last handle and binds files', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create({ name: 'silo', silo: true });
    assert.ok(job.isSilo && kernel.isSilo);
    assert.equal(kernel.information.get(9)?.readUInt32LE(16), 0x2000);
    await using opened = await JobObject.open({ name: 'silo' });
    assert.ok(opened.isSilo);
    await job.applyFileBinding(`${import.meta.dirname}/bound`, 'C:\\target', { readOnly: true });
    assert.deepEqual(kernel.bindings, [
      {
        job: jobHandle,
        flags: 5,
        virtualizationRootPath: `${import.meta.dirname}/bound`,
        virtualizationTargetPath: 'C:\\target',
        exceptions: null,
        exceptionCount: 0,
      },
    ]);
  });

  test('that is none binds no files, and with processes in it does not become one', async () => {
    using kernel = new FakeKernel();
    await using job = await JobObject.create({ name: 'plain' });
    await assert.rejects(job.applyFileBinding('C:\\a\\b', 'C:\\c'), {
      code: 'ERR_JOB_NOT_SILO',
      message:
        'Cannot bind "C:\\c" to "C:\\a\\b" in job object "plain": it is not a silo, promote it to one first',
    });
    kernel.processes = [4];
    await assert.rejects(job.promoteToSilo(), /it has 1 running processes, it must have none/);
  });

  test('that was not registered has no notifications, and one that is closed has nothing', async () => {
    using kernel = new FakeKernel();
    const job = await JobObject.create({ name: 'ended' });
    assert.throws(() => job.notifications(), {
      code: 'ERR_JOB_NOT_REGISTERED',
      message:
        'Cannot read notifications of job object "ended": it was created or opened without notifications',
    });
    await job.close();
    await job.close();
    assert.deepEqual(kernel.closed, [jobHandle]);
    await assert.rejects(job.processIds(), {
      name: 'JobObjectError',
      code: 'ERR_JOB_CLOSED',
      message: 'Cannot list the processes of job object "ended": it has been closed',
    });
  });
});
