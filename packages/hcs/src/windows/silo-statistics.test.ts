import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import type { ComputeSystemDocument, SystemProperties } from '@hcsshim/schema';
import {
  type BoundDll,
  bind,
  type ComputeApi,
  type ComputeEventHandler,
  ComputeEventType,
  type Dll,
  DllCallError,
  type Handle,
  kernel32,
  ntdll,
  OwnedHandle,
} from '@hcsshim/windows';
import type { ComputeService } from '../compute-service.ts';
import type { Phase } from '../phase.ts';
import { createWindowsComputeService } from './windows-compute-service.ts';

const document = {
  Owner: 'test',
  SchemaVersion: { Major: 2, Minor: 1 },
} satisfies ComputeSystemDocument;

/** `ERROR_INVALID_PARAMETER`. */
const invalidParameter = 87;

/** `STATUS_OBJECT_NAME_NOT_FOUND`. */
const nameNotFound = 0xc0000034;

/** Queries of a job (winnt.h): the layouts are held by the tests of `JobObject`. */
const answers: Record<number, (bytes: Buffer) => void> = {
  1: (accounting) => {
    accounting.writeBigInt64LE(300n, 0);
    accounting.writeBigInt64LE(200n, 8);
  },
  3: (processIds) => {
    processIds.writeUInt32LE(2, 0);
    processIds.writeUInt32LE(2, 4);
    processIds.writeBigUInt64LE(12n, 8);
    processIds.writeBigUInt64LE(16n, 16);
  },
  28: (memory) => {
    memory.writeBigUInt64LE(8192n, 0);
    memory.writeBigUInt64LE(16_384n, 8);
  },
  36: () => {},
  42: (storage) => {
    storage.writeBigUInt64LE(3n, 8);
    storage.writeBigUInt64LE(4096n, 32);
    storage.writeBigUInt64LE(5n, 40);
    storage.writeBigUInt64LE(512n, 64);
  },
};

const siloHandle = 8n as Handle<'HANDLE'>;

/** A kernel with the silos that are named, in which two processes run. */
class SiloKernel implements Disposable {
  readonly silos: Set<string>;
  readonly opened: string[] = [];
  readonly open = new Set<bigint>();
  /** A query that is refused. */
  refused: number | undefined;
  onQuery: () => void = () => {};
  readonly #replaced = new DisposableStack();

  constructor(...ids: string[]) {
    this.silos = new Set(ids.map((id) => `\\Container_${id}`));
    const refuse = (procedure: string, kind: 'NTSTATUS' | 'WIN32_ERROR', status: number): never => {
      throw new DllCallError({ dll: 'kernel32.dll', procedure, kind, status });
    };
    this.#replace(ntdll, {
      RtlNtStatusToDosError: () => 2,
      NtOpenJobObject: ({ objectAttributes }) => {
        const name = nameOf(objectAttributes as Buffer);
        this.opened.push(name);
        if (!this.silos.has(name)) refuse('NtOpenJobObject', 'NTSTATUS', nameNotFound);
        return { job: this.#handle(siloHandle) };
      },
      NtQueryInformationProcess: ({ information }) => {
        (information as Buffer).writeBigUInt64LE(4096n, 96);
        return { returnLength: 112 };
      },
    });
    this.#replace(kernel32, {
      FormatMessageW: () => 0,
      QueryInformationJobObject: ({ informationClass, information, length }) => {
        this.onQuery();
        if (informationClass === this.refused)
          refuse('QueryInformationJobObject', 'WIN32_ERROR', invalidParameter);
        answers[informationClass]?.(information as Buffer);
        return { returnLength: length };
      },
      OpenProcess: ({ processId }) => this.#handle(BigInt(processId) as Handle<'HANDLE'>),
      IsProcessInJob: () => ({ result: true }),
      CloseHandle: ({ object }) => {
        assert.ok(this.open.delete(object), 'a handle is closed once');
        return undefined;
      },
    });
  }

  [Symbol.dispose](): void {
    this.#replaced.dispose();
  }

  #handle<T extends bigint>(handle: T): T {
    this.open.add(handle);
    return handle;
  }

  #replace<D extends Dll>(dll: D, functions: Partial<BoundDll<D>>): void {
    const bound = bind(dll);
    for (const [name, value] of Object.entries(functions)) {
      const before = Object.getOwnPropertyDescriptor(bound, name) as PropertyDescriptor;
      Object.defineProperty(bound, name, { value, configurable: true, enumerable: true });
      this.#replaced.defer(() => Object.defineProperty(bound, name, before));
    }
  }
}

/** The name in `OBJECT_ATTRIBUTES` that were made here: it follows the structure and its `UNICODE_STRING`. */
function nameOf(objectAttributes: Buffer): string {
  return objectAttributes.toString('utf16le', 48 + 16);
}

/** Statistics of the service's. */
const told = { Uptime100ns: 17 };

/** A service with systems of one type, which keeps the queries for their properties. */
function fakeService(SystemType: SystemProperties['SystemType']) {
  const queries: unknown[] = [];
  let tell: ComputeEventHandler = () => {};
  const handle = async () => new OwnedHandle('HCS_SYSTEM', 7n as Handle<'HCS_SYSTEM'>, () => {});
  const api = {
    createSystem: handle,
    openSystem: handle,
    operateSystem: async () => null,
    watchSystem: async (_: unknown, onEvent: ComputeEventHandler) => {
      tell = onEvent;
      return { [Symbol.dispose]: () => {} };
    },
    systemProperties: async (_: unknown, query: string | null) => {
      if (query !== null) queries.push(JSON.parse(query));
      const base = { Id: 'c', SystemType, Owner: 'test', State: 'Created', RuntimeOsType: 'Windows' };
      return JSON.stringify({ ...base, ...(query?.includes('Statistics') && { Statistics: told }) });
    },
  } as Partial<ComputeApi> as ComputeApi;
  const end = () => tell({ type: ComputeEventType.SystemExited, data: '{"ExitType":"GracefulExit"}' });
  return { compute: createWindowsComputeService({ api }), queries, end };
}

async function start(compute: ComputeService) {
  const system = await compute.create('c', document);
  await system.start();
  return system;
}

describe('statistics of a container', () => {
  test("are counted from the container's silo, without the service", async () => {
    using kernel = new SiloKernel('c');
    const { compute, queries } = fakeService('Container');
    const before = Date.now();
    await using system = await start(compute);
    const { Statistics, ...properties } = await system.getProperties({ PropertyTypes: ['Statistics'] });
    const { Timestamp = '', ContainerStartTime = '', Uptime100ns = 0, ...counted } = Statistics ?? {};
    assert.deepEqual(counted, {
      Processor: { TotalRuntime100ns: 500, RuntimeUser100ns: 300, RuntimeKernel100ns: 200 },
      Memory: {
        MemoryUsageCommitBytes: 8192,
        MemoryUsageCommitPeakBytes: 16_384,
        MemoryUsagePrivateWorkingSetBytes: 8192,
      },
      Storage: {
        ReadCountNormalized: 3,
        ReadSizeBytes: 4096,
        WriteCountNormalized: 5,
        WriteSizeBytes: 512,
      },
    });
    assert.deepEqual(properties, {
      ...{ Id: 'c', SystemType: 'Container', Owner: 'test' },
      ...{ State: 'Running', RuntimeOsType: 'Windows' },
    });
    assert.ok(before <= Date.parse(ContainerStartTime) && Date.parse(ContainerStartTime) <= Date.now());
    assert.ok(Date.parse(ContainerStartTime) <= Date.parse(Timestamp));
    assert.ok(Number.isInteger(Uptime100ns) && Uptime100ns <= (Date.now() - before + 50) * 10_000);
    assert.deepEqual(queries, []);
    assert.deepEqual(kernel.opened, ['\\Container_c']);
    assert.deepEqual([...kernel.open], []);
  });

  test('leave the rest of a query to the service', async () => {
    using _ = new SiloKernel('c');
    const { compute, queries } = fakeService('Container');
    await using system = await start(compute);
    const { Statistics } = await system.getProperties({ PropertyTypes: ['ProcessList', 'Statistics'] });
    assert.equal(Statistics?.Memory.MemoryUsageCommitBytes, 8192);
    assert.deepEqual(queries, [{ PropertyTypes: ['ProcessList'] }]);
  });

  for (const [name, refused] of Object.entries({ memory: 28, processors: 1, storage: 42, processes: 3 }))
    test(`come from the service when the silo does not tell of its ${name}`, async () => {
      using kernel = new SiloKernel('c');
      kernel.refused = refused;
      const { compute, queries } = fakeService('Container');
      await using system = await start(compute);
      const properties = await system.getProperties({ PropertyTypes: ['Statistics'] });
      assert.deepEqual(properties.Statistics, told);
      assert.deepEqual(queries, [{ PropertyTypes: ['Statistics'] }]);
      assert.deepEqual([...kernel.open], []);
    });

  test('come from the service when there is no silo, and the phase tells of it', async () => {
    using kernel = new SiloKernel();
    const { compute, queries } = fakeService('Container');
    await using system = await start(compute);
    const phases: Phase[] = [];
    const listen = (message: unknown) => void phases.push(message as Phase);
    subscribe('hcsshim:phase', listen);
    try {
      await system.getProperties({ PropertyTypes: ['Statistics'] });
    } finally {
      unsubscribe('hcsshim:phase', listen);
    }
    assert.deepEqual(queries, [{ PropertyTypes: ['Statistics'] }]);
    assert.deepEqual(kernel.opened, ['\\Container_c']);
    const [{ name, subject, failed } = {}] = phases;
    assert.deepEqual(
      { name, subject, failed },
      { name: 'windows: statistics of a silo', subject: 'c', failed: true },
    );
  });

  test('come from the service for who has not started it, and once it has ended', async () => {
    using kernel = new SiloKernel('c');
    const { compute, queries, end } = fakeService('Container');
    await using opened = await compute.open('c');
    await opened.getProperties({ PropertyTypes: ['Statistics'] });
    await using system = await start(compute);
    kernel.onQuery = end;
    await system.getProperties({ PropertyTypes: ['Statistics'] });
    await system.getProperties({ PropertyTypes: ['Statistics'] });
    assert.equal(queries.length, 3);
    assert.deepEqual(kernel.opened, ['\\Container_c']);
    assert.deepEqual([...kernel.open], []);
  });

  test('of schema 1 come from the service, and so do those of a virtual machine', async () => {
    using kernel = new SiloKernel('c');
    const container = fakeService('Container');
    await using system = await start(container.compute);
    assert.deepEqual((await system.getPropertiesV1({ PropertyTypes: ['Statistics'] })).Statistics, told);
    const machine = fakeService('VirtualMachine');
    await using vm = await start(machine.compute);
    await vm.getProperties({ PropertyTypes: ['Statistics'] });
    assert.equal(container.queries.length + machine.queries.length, 2);
    assert.deepEqual(kernel.opened, []);
  });
});
